import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rm, symlink } from 'node:fs/promises';
import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { kill, pid } from 'node:process';
import { AppError } from '../errors.ts';

/** Names of temporary files: the process that writes it, then a UUID. */
const TEMPORARY = /^(\d+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Tries of a step whose folders somebody deletes at the same time. */
const TRIES = 5;

/** A failed operation on files as `storage_full` or `storage_failed`. */
export function storageError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT')) return new AppError('storage_full', 'The disk is full.', { cause: error });
  return new AppError('storage_failed', 'The image storage cannot be read or written.', { cause: error });
}

/** Whether it is a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code);
}

/** Runs steps one after the other, in the order of their calls; one that fails stops none behind it. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return async <T>(step: () => Promise<T>): Promise<T> => {
    const turn = last.then(step);
    last = turn.catch(() => undefined);
    return await turn;
  };
}

/** Files that appear whole or not at all, by way of temporary ones in the folder `temporary`, on the same file system. */
export function createDurableFiles(temporary: string) {
  // In turn, because a folder counts as there only when whoever made it has synced its entry.
  const making = createTurns();
  /** Folders that were there with synced entries when somebody last looked; they may have been deleted since. */
  const known = new Set<string>();

  function temporaryPath(): string {
    return join(temporary, `${pid}-${randomUUID()}`);
  }

  /** Writes and syncs a temporary file, or leaves none. */
  async function writeTemporary(bytes: Uint8Array): Promise<string> {
    const path = temporaryPath();
    const handle = await open(path, 'wx', 0o644);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    return path;
  }

  async function moveTo(path: string, from: string): Promise<void> {
    try {
      await rename(from, path);
    } catch (error) {
      await rm(from, { force: true });
      throw error;
    }
  }

  async function ensure(folder: string): Promise<void> {
    if (known.has(folder)) return;
    await makeFolder(folder);
    known.add(folder);
  }

  /** Runs a step in folders that exist; makes them again when they were deleted meanwhile. */
  async function within<T>(folders: readonly string[], step: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        for (const folder of folders) await making(() => ensure(folder));
        const result = await step();
        // Folders that another call had to make again while this one used them count from their synced entries on.
        await making(async () => undefined);
        return result;
      } catch (error) {
        if (tries === TRIES || !hasCode(error, 'ENOENT')) throw storageError(error);
        for (const folder of folders) known.delete(folder);
      }
    }
  }

  return {
    /**
     * Puts bytes at `path`, unless a file of their length is there; durable, as its folders are, when it resolves. The file
     * has its name only once `ready` has resolved.
     */
    async put(path: string, bytes: Uint8Array, ready?: Promise<void>): Promise<void> {
      const folder = dirname(path);
      await within([temporary, folder], async () => {
        if (!(await isThere(path, bytes.length))) {
          const from = await writeTemporary(bytes);
          await ready;
          await moveTo(path, from);
        }
        // For a file that was there, too: whoever put it may not have come to this yet.
        await syncFolder(folder);
      });
    },

    /** Makes `path` a symbolic link to `target`, in place of what was there. */
    async link(path: string, target: string): Promise<void> {
      await within([temporary], async () => {
        const from = temporaryPath();
        await symlink(target, from);
        await moveTo(path, from);
      });
    },

    /** Writes, syncs and removes a small file. */
    async probe(): Promise<void> {
      await within([temporary], async () => {
        await rm(await writeTemporary(Buffer.from('probe')), { force: true });
      });
    },

    /** Removes what dead processes left; resolves with the number of files. */
    async sweep(): Promise<number> {
      return await within([temporary], async () => {
        const names = await readdir(temporary);
        const removed = await Promise.all(names.map((name) => removeIfDead(temporary, name)));
        return removed.filter(Boolean).length;
      });
    },
  };
}

/** Opens a regular file for reading, and nothing through a link. Throws the system's error, `ENOENT` for other things. */
export async function openRegular(path: string) {
  // O_NONBLOCK, because opening a named pipe would else wait for a writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw Object.assign(new Error('not a regular file'), { code: 'ENOENT' });
    return { handle, size: stat.size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function isThere(path: string, size: number): Promise<boolean> {
  try {
    const stat = await lstat(path);
    return stat.isFile() && stat.size === size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Makes a folder with its parents, and syncs the entries of all that are new. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made !== dirname(first); made = dirname(made)) await syncFolder(dirname(made));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems know no sync of folders.
    if (!hasCode(error, 'EINVAL', 'ENOTSUP')) throw error;
  } finally {
    await handle.close();
  }
}

async function removeIfDead(folder: string, name: string): Promise<boolean> {
  const writer = Number(TEMPORARY.exec(name)?.[1] ?? Number.NaN);
  if (Number.isNaN(writer)) return false;
  const path = join(folder, name);
  try {
    const { mtimeMs } = await lstat(path);
    if (isAlive(writer, mtimeMs)) return false;
    await rm(path, { force: true });
    return true;
  } catch (error) {
    // Its writer has just finished.
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Whether the process that wrote at `mtimeMs` still runs; a number that has gone to another process does not count. */
function isAlive(writer: number, mtimeMs: number): boolean {
  if (writer === pid) return mtimeMs >= performance.timeOrigin;
  const bootedAt = Date.now() - uptime() * 1000;
  if (mtimeMs < bootedAt) return false;
  try {
    return kill(writer, 0);
  } catch (error) {
    return !hasCode(error, 'ESRCH');
  }
}
