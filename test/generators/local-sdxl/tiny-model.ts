import { join } from 'node:path';
import { layOutModel } from '../../goldens/lay-out.ts';
import { temporaryDir } from '../../helper.ts';

const models = join(import.meta.dirname, '..', '..', 'fixtures', 'sdxl-goldens', 'models');

/** A folder as a user would have it, of one of the tiny models; removed after the test. */
export async function tinyModel(name: string): Promise<string> {
  const folder = join(await temporaryDir(), name);
  await layOutModel(models, name, folder);
  return folder;
}
