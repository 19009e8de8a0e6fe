import { readFile } from 'node:fs/promises';
import type { z } from 'zod';

/** Reads a golden file. Whole numbers beyond a double's precision (seeds) come as bigints. */
export async function readGolden<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>> {
  const text = await readFile(path, 'utf8');
  return schema.parse(JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => exact(value, context)));
}

function exact(value: unknown, { source = '' }: { source?: string } = {}): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || !/^-?\d+$/.test(source)) return value;
  return BigInt(source);
}
