import { execFileSync } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes that are written until there is no room for as much: the last room is small. */
const CHUNKS = [1024 * 1024, 4096];

/** A disk of its own for the images, small enough to be filled. */
export interface SmallDisk {
  /** Takes all the room that there is. */
  fill(): Promise<void>;
  free(): Promise<void>;
  remove(): void;
}

/** Mounts one in memory; says why where that is not allowed. */
export async function mountSmallDisk(dir: string, megabytes: number): Promise<SmallDisk | { readonly reason: string }> {
  await mkdir(dir);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir], { stdio: 'pipe' });
  } catch (error) {
    return { reason: error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error) };
  }
  const ballast = join(dir, 'ballast');
  return {
    async fill() {
      const file = await open(ballast, 'a');
      try {
        for (const bytes of CHUNKS) await writeUntilFull(file, Buffer.alloc(bytes));
      } finally {
        await file.close();
      }
    },
    free: async () => await rm(ballast, { force: true }),
    remove: () => void execFileSync('umount', [dir]),
  };
}

async function writeUntilFull(file: FileHandle, chunk: Buffer): Promise<void> {
  try {
    for (;;) await file.write(chunk);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}
