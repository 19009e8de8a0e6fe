import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hasCode, storageError } from './durable-files.ts';

/**
 * Bytes that this process may still write on the disk that `folder` lies on, or would lie on if it were
 * made. Throws `storage_failed`.
 */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const parent = dirname(folder);
    if (hasCode(error, 'ENOENT') && parent !== folder) return await freeBytes(parent);
    throw storageError(error);
  }
}
