import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readGolden } from './json.ts';

const manifestSchema = z.object({
  models: z.record(z.string(), z.object({ files: z.record(z.string(), z.string()) })),
});

/** Lays a golden model out as a user would have it. Rejects when `manifest.json` of `models` has none of the name. */
export async function layOutModel(models: string, name: string, folder: string): Promise<void> {
  const manifest = await readGolden(join(models, 'manifest.json'), manifestSchema);
  const files = manifest.models[name]?.files;
  if (files === undefined) throw new Error(`the manifest has no model ${name}`);
  for (const [path, place] of Object.entries(files)) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(join(models, place), target);
  }
}
