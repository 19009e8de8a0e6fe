import { mkdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const models = join(import.meta.dirname, '..', '..', 'fixtures', 'sdxl-goldens', 'models');
const manifestSchema = z.object({
  models: z.record(z.string(), z.object({ files: z.record(z.string(), z.string()) })),
});

/** Lays a tiny model's files out in a folder, as a user would have them, by links. */
export async function layOutModel(name: string, folder: string): Promise<void> {
  const manifest = manifestSchema.parse(JSON.parse(await readFile(join(models, 'manifest.json'), 'utf8')));
  const files = manifest.models[name]?.files;
  if (files === undefined) throw new Error(`there is no tiny model ${name}`);
  for (const [path, place] of Object.entries(files)) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await symlink(join(models, place), target);
  }
}
