import { join } from 'node:path';
import { temporaryDir } from '../../helper.ts';
import { layOutModel } from './lay-out-model.ts';

/** A folder as a user would have it, of one of the tiny models; removed after the test. */
export async function tinyModel(name: string): Promise<string> {
  const folder = join(await temporaryDir(), name);
  await layOutModel(name, folder);
  return folder;
}
