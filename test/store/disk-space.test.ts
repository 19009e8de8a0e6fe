import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freeBytes } from '../../src/store/disk-space.ts';
import { temporaryDir } from '../helper.ts';

it('a folder that is gone counts as where it would be made', async () => {
  const dir = await temporaryDir();
  const { blocks, bsize } = await statfs(dir);
  for (const folder of [dir, join(dir, 'a', 'b')]) {
    const free = await freeBytes(folder);
    expect(free).toBeGreaterThan(0);
    expect(free).toBeLessThan(blocks * bsize);
  }
});

it('what cannot be looked at is storage_failed, without its path', async () => {
  const file = join(await temporaryDir(), 'file');
  await writeFile(file, '');
  const error: unknown = await freeBytes(join(file, 'x')).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'storage_failed' });
  expect(error instanceof Error && error.message).not.toContain(file);
});
