import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** One tensor of a case, as `case.json` lists it. */
export const tensorSchema = z.object({
  name: z.string(),
  source: z.enum(['torch', 'ort', 'both']),
  dtype: z.enum(['float32', 'float16', 'int64', 'int32', 'uint8']),
  shape: z.array(z.number()),
  file: z.string(),
});

/** One tensor of a case. */
export type GoldenTensor = z.output<typeof tensorSchema>;

/** Reads a tensor's values. Rejects when the file is not as long as its shape says. */
export async function readTensor(folder: string, { file, dtype, shape }: GoldenTensor): Promise<Float64Array> {
  const bytes = Uint8Array.from(await readFile(join(folder, file)));
  const values = decode(bytes.buffer, dtype);
  const size = shape.reduce((product, side) => product * side, 1);
  if (values.length !== size) throw new Error(`${file} holds ${values.length} values where its shape says ${size}`);
  return values;
}

function decode(buffer: ArrayBuffer, dtype: GoldenTensor['dtype']): Float64Array {
  switch (dtype) {
    case 'float32':
      return Float64Array.from(new Float32Array(buffer));
    case 'float16':
      return Float64Array.from(new Float16Array(buffer));
    case 'int64':
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case 'int32':
      return Float64Array.from(new Int32Array(buffer));
    case 'uint8':
      return Float64Array.from(new Uint8Array(buffer));
  }
}
