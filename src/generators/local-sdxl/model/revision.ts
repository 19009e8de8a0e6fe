import { hash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import canonicalize from 'canonicalize';
import type { ModelFolder } from './model-folder.ts';

/**
 * Names a model's version by its files' names, sizes and times, and by `settings` that change its pictures; SHA-256,
 * the first 16 digits. Reading gigabytes of weights at each start would take longer than a render.
 */
export async function revisionOf(models: readonly ModelFolder[], settings: object): Promise<string> {
  const files = await Promise.all(models.map(filesOf));
  return hash('sha256', canonicalize({ files, settings }) ?? '').slice(0, 16);
}

async function filesOf({ places }: ModelFolder): Promise<(string | number)[][]> {
  const { index, ...folders } = places;
  const inFolders = await Promise.all(
    Object.entries(folders).map(async ([component, folder]) => {
      const names = await namesIn(folder);
      return await Promise.all(names.sort().map((name) => describe(`${component}/${name}`, join(folder, name))));
    }),
  );
  return [await describe('model_index.json', index), ...inFolders.flat()];
}

async function describe(shown: string, path: string): Promise<(string | number)[]> {
  const { size, mtimeMs } = await stat(path);
  return [shown, size, Math.round(mtimeMs)];
}

/** Optional components have no folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
