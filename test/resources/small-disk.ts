import { execFile } from 'node:child_process';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { temporaryDir } from '../helper.ts';

const run = promisify(execFile);

/** A file system of its own with little room. */
export interface SmallDisk {
  readonly dir: string;
  /** Takes all room, to the last byte. */
  fill(): Promise<void>;
  /** Gives back what `fill` took. */
  empty(): Promise<void>;
}

/** Mounts it, for this test. Only root may, where it may: a container needs `--cap-add SYS_ADMIN`. */
export async function smallDisk(mebibytes: number): Promise<SmallDisk> {
  const dir = await temporaryDir();
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0755`, 'small-disk', dir]);
  } catch (cause) {
    throw new Error('these tests mount small disks: run them as root, on a machine that lets root mount', { cause });
  }
  // Lazily, because a server that is being killed may hold it a moment longer.
  onTestFinished(async () => void (await run('umount', ['--lazy', dir])));
  const ballast = join(dir, 'ballast');
  return {
    dir,
    async fill() {
      const { bsize } = await statfs(dir);
      const handle = await open(ballast, 'a');
      try {
        while (await written(handle.appendFile(Buffer.alloc(bsize)))) {
          // One more block.
        }
      } finally {
        await handle.close();
      }
    },
    empty: () => rm(ballast, { force: true }),
  };
}

async function written(writing: Promise<void>): Promise<boolean> {
  return writing.then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
      throw error;
    },
  );
}
