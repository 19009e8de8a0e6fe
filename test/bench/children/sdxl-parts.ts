import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { layOutModel } from '../../generators/local-sdxl/lay-out-model.ts';

/** The same render for both sides. */
export const SIDE = 1024;
/** Steps of a render, with guidance. */
export const STEPS = 6;
/** One for both sides, so that the library computes the same. */
export const THREADS = 1;

/** A tiny model in a folder of its own. */
export async function tinyModelFolder(): Promise<{ dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'image-server-bench-'));
  await layOutModel('tiny-sdxl', dir);
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
