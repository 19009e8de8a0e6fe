import { mkdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { temporaryDir } from '../../helper.ts';

const models = join(import.meta.dirname, '..', '..', 'fixtures', 'sdxl-goldens', 'models');
const manifestSchema = z.object({
  models: z.record(z.string(), z.object({ files: z.record(z.string(), z.string()) })),
});

/** A folder as a user would have it, of one of the tiny models; removed after the test. */
export async function tinyModel(name: string): Promise<string> {
  const folder = join(await temporaryDir(), name);
  await layOutModel(name, folder);
  return folder;
}

/** Lays a tiny model's files out in a folder, as links. */
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
