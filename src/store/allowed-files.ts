import { realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { hasCode, openRegular, storageError } from './durable-files.ts';

/** Errors that say something about a path; callers learn nothing of them. */
const UNREADABLE = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG', 'ENXIO', 'ENODEV'];

/**
 * The first `maxBytes + 1` bytes of a regular file at an absolute path that leads, all links followed, into one of
 * `roots`. Undefined for every other path, whether something is there or not. Throws `storage_failed`.
 */
export async function readAllowedFile(
  path: string,
  roots: readonly string[],
  maxBytes: number,
): Promise<Buffer | undefined> {
  if (!isAbsolute(path) || path.includes('\0')) return undefined;
  try {
    const folders = (await Promise.all(roots.map(realPathOf))).filter((folder) => folder !== undefined);
    const file = await realPathOf(path);
    return isWithin(file, folders) ? await readStart(file, folders, maxBytes + 1) : undefined;
  } catch (error) {
    if (hasCode(error, ...UNREADABLE)) return undefined;
    throw storageError(error);
  }
}

async function readStart(file: string, folders: readonly string[], length: number): Promise<Buffer | undefined> {
  const { handle } = await openRegular(file);
  try {
    // Folders on the way may have become links since; where Linux says the open file lies is beyond doubt.
    const opened = (await realPathOf(`/proc/self/fd/${handle.fd}`)) ?? (await realPathOf(file));
    if (!isWithin(opened, folders)) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of handle.createReadStream({ end: length - 1, autoClose: false })) chunks.push(chunk);
    return Buffer.concat(chunks);
  } finally {
    await handle.close();
  }
}

/** Undefined when nothing is there, or nothing that we may see. */
async function realPathOf(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (hasCode(error, ...UNREADABLE)) return undefined;
    throw error;
  }
}

function isWithin(path: string | undefined, folders: readonly string[]): path is string {
  return folders.some((folder) => path?.startsWith(folder.endsWith(sep) ? folder : folder + sep));
}
