import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, readlink, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { storageError } from '../../src/store/durable-files.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import { failure, temporaryFolder } from './helper.ts';

const STORE = new URL('../../src/store/file-image-store.ts', import.meta.url).href;
const UNKNOWN = 'a'.repeat(64);

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Paths of all files below a folder; files that go meanwhile are left out. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function start(script: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

describe('saving', () => {
  test('equal bytes are stored once, under their hash', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const bytes = randomBytes(5000);
    const saved = await store.save(bytes, 'png');
    expect(saved).toEqual({ imageId: sha256(bytes), bytes: 5000 });
    const path = store.pathOf(saved.imageId, 'png');
    expect(path).toBe(join(dir, 'renders', saved.imageId.slice(0, 2), `${saved.imageId}.png`));
    const before = await stat(path);
    await store.save(Buffer.from(bytes), 'png');
    expect((await stat(path)).ino).toBe(before.ino);
    expect(await filesIn(dir)).toEqual([path]);
  });

  test('JPEG files end in .jpg, and a relative folder gives absolute paths', async () => {
    const store = await createFileImageStore({ dir: await temporaryFolder() });
    expect(basename(store.pathOf(UNKNOWN, 'jpeg'))).toBe(`${UNKNOWN}.jpg`);
  });

  test('saving the same bytes many times at once leaves one whole file', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const bytes = randomBytes(100_000);
    const saved = await Promise.all(Array.from({ length: 30 }, () => store.save(bytes, 'jpeg')));
    expect(new Set(saved.map(({ imageId }) => imageId)).size).toBe(1);
    expect(await filesIn(dir)).toEqual([store.pathOf(sha256(bytes), 'jpeg')]);
    expect(await readFile(store.pathOf(sha256(bytes), 'jpeg'))).toEqual(bytes);
  });

  test('a file of the wrong size is replaced', async () => {
    const store = await createFileImageStore({ dir: await temporaryFolder() });
    const bytes = randomBytes(100);
    const path = store.pathOf(sha256(bytes), 'png');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes.subarray(0, 50));
    await store.save(bytes, 'png');
    expect(await readFile(path)).toEqual(bytes);
  });

  test('every file that can be seen is whole, while others are written', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    let done = false;
    const saving = Promise.all(Array.from({ length: 12 }, () => store.save(randomBytes(400_000), 'png'))).finally(
      () => {
        done = true;
      },
    );
    while (!done) {
      for (const path of await filesIn(join(dir, 'renders')).catch(() => [])) {
        expect(basename(path)).toBe(`${sha256(await readFile(path))}.png`);
      }
      await nextTurn();
    }
    await saving;
    expect(await filesIn(join(dir, 'renders'))).toHaveLength(12);
    expect(await filesIn(join(dir, 'tmp'))).toEqual([]);
  });

  test('inputs are kept apart and read back', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const { imageId } = await store.saveInput(Buffer.from('input'));
    expect(await filesIn(dir)).toEqual([join(dir, 'inputs', imageId.slice(0, 2), imageId)]);
    expect(String(await store.readInput(imageId))).toBe('input');
    expect((await failure(store.open(imageId, 'png'))).code).toBe('image_not_found');
  });

  test('the folder may be deleted while the store is in use', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const { imageId } = await store.save(Buffer.from('old'), 'png');
    await rm(dir, { recursive: true });
    expect((await failure(store.open(imageId, 'png'))).code).toBe('image_not_found');
    await store.save(Buffer.from('old'), 'png');
    expect(await readFile(store.pathOf(imageId, 'png'), 'utf8')).toBe('old');
    await rm(dir, { recursive: true });
    await store.setLatest(imageId, 'png');
    await rm(dir, { recursive: true });
    await store.saveInput(Buffer.from('input'));
    await rm(dir, { recursive: true });
    await store.probe();
    expect(await filesIn(dir)).toEqual([]);
  });
});

test('the folder may be deleted again and again while many save, and all of it is there at the end', async () => {
  const dir = await temporaryFolder();
  const store = await createFileImageStore({ dir });
  for (let round = 0; round < 20; round++) {
    const images = Array.from({ length: 8 }, () => randomBytes(2000));
    const saving = Promise.all(images.map((bytes) => store.save(bytes, 'png')));
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    await saving;
    await store.writeNote('note', { round });
    // What was saved before the folder went is gone with it; what is saved now is there.
    const [again] = await Promise.all(images.map((bytes) => store.save(bytes, 'png')));
    expect(await readFile(store.pathOf(again?.imageId ?? UNKNOWN, 'png'))).toEqual(images[0]);
    expect(await store.readNote('note')).toEqual({ round });
  }
});

describe('reading', () => {
  test('an opened image has its size, and is read to its end although it is deleted meanwhile', async () => {
    const store = await createFileImageStore({ dir: await temporaryFolder() });
    const bytes = randomBytes(1_000_000);
    const { imageId } = await store.save(bytes, 'png');
    const { stream, size } = await store.open(imageId, 'png');
    await rm(store.pathOf(imageId, 'png'));
    expect(size).toBe(bytes.length);
    expect((await buffer(stream)).equals(bytes)).toBe(true);
  });

  test('what is not there is image_not_found', async () => {
    const store = await createFileImageStore({ dir: await temporaryFolder() });
    const { imageId } = await store.save(Buffer.from('x'), 'png');
    expect((await failure(store.open(UNKNOWN, 'png'))).code).toBe('image_not_found');
    expect((await failure(store.open(imageId, 'jpeg'))).code).toBe('image_not_found');
    expect((await failure(store.readInput(UNKNOWN))).code).toBe('image_not_found');
  });

  test.for(['', '../../../etc/passwd', 'A'.repeat(64), 'a'.repeat(63), `${'a'.repeat(64)}\n`, `../${'a'.repeat(61)}`])(
    'the id %j is refused',
    async (imageId) => {
      const store = await createFileImageStore({ dir: await temporaryFolder() });
      expect((await failure(store.open(imageId, 'png'))).code).toBe('image_not_found');
      expect((await failure(store.readInput(imageId))).code).toBe('image_not_found');
      expect((await failure(store.setLatest(imageId, 'png'))).code).toBe('image_not_found');
      expect(() => store.pathOf(imageId, 'png')).toThrow('no such image');
    },
  );

  test('planted links, pipes and folders are not read', async () => {
    const store = await createFileImageStore({ dir: await temporaryFolder() });
    const path = store.pathOf(UNKNOWN, 'png');
    await mkdir(dirname(path), { recursive: true });
    await symlink('/etc/passwd', path);
    expect((await failure(store.open(UNKNOWN, 'png'))).code).toBe('image_not_found');
    await rm(path);
    execFileSync('mkfifo', [path]);
    expect((await failure(store.open(UNKNOWN, 'png'))).code).toBe('image_not_found');
    await rm(path);
    await mkdir(path);
    expect((await failure(store.open(UNKNOWN, 'png'))).code).toBe('image_not_found');
  });

  test('a planted link is replaced, not written through', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const bytes = Buffer.from('image');
    const path = store.pathOf(sha256(bytes), 'png');
    const victim = join(dir, 'victim');
    await writeFile(victim, 'other');
    await mkdir(dirname(path), { recursive: true });
    await symlink(victim, path);
    await store.save(bytes, 'png');
    expect(await readFile(victim, 'utf8')).toBe('other');
    expect(await readFile(path)).toEqual(bytes);
  });
});

describe('the latest image', () => {
  test('is a relative link, one for each format', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const { imageId } = await store.save(Buffer.from('image'), 'jpeg');
    await store.setLatest(imageId, 'jpeg');
    expect(await readlink(join(dir, 'latest.jpg'))).toBe(join('renders', imageId.slice(0, 2), `${imageId}.jpg`));
    expect(await readFile(join(dir, 'latest.jpg'), 'utf8')).toBe('image');
  });

  test('is there at every moment of many calls at once, and the last call wins', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const saved = await Promise.all(Array.from({ length: 5 }, (_, i) => store.save(Buffer.from(`image ${i}`), 'png')));
    const ids = Array.from({ length: 10 }, () => saved.map(({ imageId }) => imageId)).flat();
    const last = ids.at(-1) ?? '';
    await store.setLatest(last, 'png');
    let done = false;
    const linking = Promise.all(ids.map((imageId) => store.setLatest(imageId, 'png'))).finally(() => {
      done = true;
    });
    while (!done) expect(await readFile(join(dir, 'latest.png'), 'utf8')).toMatch(/^image \d$/);
    await linking;
    expect(basename(await readlink(join(dir, 'latest.png')))).toBe(`${last}.png`);
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
  });

  test('a call that fails does not stop the next', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    const { imageId } = await store.save(Buffer.from('image'), 'png');
    await mkdir(join(dir, 'latest.png'));
    expect((await failure(store.setLatest(imageId, 'png'))).code).toBe('storage_failed');
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
    await rm(join(dir, 'latest.png'), { recursive: true });
    await store.setLatest(imageId, 'png');
    expect(await readFile(join(dir, 'latest.png'), 'utf8')).toBe('image');
  });
});

describe('temporary files', () => {
  async function plant(dir: string, pid: number, modified?: Date): Promise<string> {
    const path = join(dir, 'tmp', `${pid}-${randomUUID()}`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'half');
    if (modified) await utimes(path, modified, modified);
    return path;
  }

  test('those of a process that has died go when a store is made; those of a living one stay', async () => {
    const dir = await temporaryFolder();
    const writer = start('setInterval(() => {}, 1000)');
    await once(writer, 'spawn');
    const path = await plant(dir, writer.pid ?? 0);
    const store = await createFileImageStore({ dir });
    expect(await filesIn(dir)).toEqual([path]);
    await killed(writer);
    expect(await store.sweep()).toBe(1);
    expect(await filesIn(dir)).toEqual([]);
  });

  test('a process number that was used before does not keep a file', async () => {
    const dir = await temporaryFolder();
    await plant(dir, process.pid, new Date(performance.timeOrigin - 60_000));
    await plant(dir, process.ppid, new Date('2001-01-01'));
    const own = await plant(dir, process.pid);
    await createFileImageStore({ dir });
    expect(await filesIn(dir)).toEqual([own]);
  });

  test("files that are not the store's stay", async () => {
    const dir = await temporaryFolder();
    await mkdir(join(dir, 'tmp'));
    await writeFile(join(dir, 'tmp', 'notes.txt'), 'mine');
    await createFileImageStore({ dir });
    expect(await readdir(join(dir, 'tmp'))).toEqual(['notes.txt']);
  });

  test('a process that is killed while it writes leaves only whole images', async () => {
    const dir = await temporaryFolder();
    const writer = start(`
      import { randomBytes } from 'node:crypto';
      import { createFileImageStore } from ${JSON.stringify(STORE)};
      const store = await createFileImageStore({ dir: ${JSON.stringify(dir)} });
      const write = async () => { for (;;) { await store.save(randomBytes(2_000_000), 'png'); console.log('saved'); } };
      await Promise.all([write(), write(), write()]);
    `);
    if (writer.stdout === null) throw new Error('the child has no output');
    for (let lines = 0; lines < 5; ) lines += String(await once(writer.stdout, 'data')).split('saved').length - 1;
    await killed(writer);
    await createFileImageStore({ dir });
    const images = await filesIn(dir);
    expect(images.length).toBeGreaterThanOrEqual(5);
    for (const path of images) expect(basename(path)).toBe(`${sha256(await readFile(path))}.png`);
  });
});

describe('trouble', () => {
  test('a probe leaves nothing behind', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    await store.probe();
    expect(await filesIn(dir)).toEqual([]);
  });

  test('a folder that cannot be made is storage_failed, without its path', async () => {
    const dir = await temporaryFolder();
    const store = await createFileImageStore({ dir });
    await writeFile(join(dir, 'renders'), 'in the way');
    const error = await failure(store.save(Buffer.from('image'), 'png'));
    expect(error.code).toBe('storage_failed');
    expect(error.message).not.toContain(dir);
    expect(String(error.cause)).toContain(dir);
    expect((await failure(createFileImageStore({ dir: join(dir, 'renders') }))).code).toBe('storage_failed');
  });

  test.for([
    ['ENOSPC', 'storage_full'],
    ['EDQUOT', 'storage_full'],
    ['EACCES', 'storage_failed'],
    ['EROFS', 'storage_failed'],
    ['EIO', 'storage_failed'],
  ] as const)('%s is %s', ([code, expected]) => {
    const cause = Object.assign(new Error('/secret/path'), { code });
    const error = storageError(cause);
    expect(error.code).toBe(expected);
    expect(error.cause).toBe(cause);
    expect(error.message).not.toContain('secret');
  });

  test('a full disk is storage_full, leaves no half file, and is over once there is room', async () => {
    const dir = await temporaryFolder();
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir]).status !== 0) {
      // Where mounting is not allowed, the kernel's own full device stands in for the disk.
      const error: unknown = await writeFile('/dev/full', 'x').catch((reason: unknown) => reason);
      expect(storageError(error).code).toBe('storage_full');
      return;
    }
    onTestFinished(() => void spawnSync('umount', [dir]));
    const store = await createFileImageStore({ dir });
    const { imageId } = await store.save(randomBytes(150_000), 'png');
    const large = randomBytes(200_000);
    expect((await failure(store.save(large, 'png'))).code).toBe('storage_full');
    expect(await filesIn(dir)).toEqual([store.pathOf(imageId, 'png')]);
    await rm(store.pathOf(imageId, 'png'));
    await store.save(large, 'png');
    expect(await readFile(store.pathOf(sha256(large), 'png'))).toEqual(large);
  });
});
