import { join } from 'node:path';
import { z } from 'zod';
import type { DrawType } from '../../src/generators/local-sdxl/torch-random.ts';
import { TorchGenerator } from '../../src/generators/local-sdxl/torch-random.ts';
import { readGolden } from './json.ts';
import type { Check, Measure } from './measure.ts';
import { check, worstAbsolute } from './measure.ts';

const FLOAT32 = 3e-6;
/** The spacing of float16 between 2 and 4: a value just beside a tie may be rounded the other way. */
const FLOAT16 = 2 ** -9;

const drawSchema = z.object({
  size: z.number(),
  first: z.array(z.number()),
  last: z.array(z.number()),
  sum_of_squares: z.number().optional(),
});
const seed = z.union([z.number(), z.bigint()]);
const seededSchema = drawSchema.extend({ seed });

const tableSchema = z.object({
  float32: z.array(seededSchema).default([]),
  float16: z.array(seededSchema).default([]),
  sequences: z.array(z.object({ seed, draws: z.array(drawSchema) })).default([]),
});

/** Compares every draw of a folder's `randn.json`. */
export async function checkRandn(dir: string): Promise<Check[]> {
  const table = await readGolden(join(dir, 'randn.json'), tableSchema);
  const single = (['float32', 'float16'] as const).flatMap((type) =>
    table[type].map((draw) =>
      check(`${type}, seed ${draw.seed}, ${draw.size} values`, () =>
        compare(new TorchGenerator(draw.seed), draw, type),
      ),
    ),
  );
  const inRow = table.sequences.map(({ seed, draws }) =>
    check(`float32, seed ${seed}, ${draws.length} draws in a row`, () => {
      const generator = new TorchGenerator(seed);
      return draws.flatMap((draw) => compare(generator, draw, 'float32'));
    }),
  );
  return await Promise.all([...single, ...inRow]);
}

function compare(generator: TorchGenerator, draw: z.output<typeof drawSchema>, type: DrawType): Measure[] {
  const values = new Float32Array(draw.size);
  generator.randn(values, type);
  const first = worstAbsolute(values.subarray(0, draw.first.length), draw.first);
  const last = worstAbsolute(values.subarray(values.length - draw.last.length), draw.last);
  const measures = [
    { tensor: `${type} values`, worst: Math.max(first, last), hold: type === 'float32' ? FLOAT32 : FLOAT16 },
  ];
  if (draw.sum_of_squares !== undefined) {
    const sum = values.reduce((total, value) => total + value ** 2, 0);
    // Seven figures are given.
    measures.push({ tensor: `${type} sum of squares`, worst: Math.abs(sum / draw.sum_of_squares - 1), hold: 1e-6 });
  }
  return measures;
}
