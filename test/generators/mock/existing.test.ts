import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Work } from '../../../src/generators/generator.ts';
import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import { generatorConformance } from '../conformance.ts';
import { plainPng } from '../png.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });
/** The red channel of an image tells which one it is. */
const COLOURS = { 'a.png': 10, 'modern/desert/b.png': 20, 'modern/desert/c.png': 30, 'Ruins/River/d.png': 40 };

async function put(folder: string, path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), bytes);
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mock-existing-'));
  for (const [path, red] of Object.entries(COLOURS)) await put(folder, path, plainPng([red, 0, 0]));
  return folder;
}

describe('conformance', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await makeFolder();
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  generatorConformance('the mock generator with existing images', {
    create: async (clock) =>
      new MockImageGenerator({ style: 'existing', imagesDir: folder, delayMs: 1000, steps: 4, drawing, clock }),
  });
});

describe('the style existing', () => {
  let folder: string;
  let generator: MockImageGenerator;
  beforeEach(async () => {
    folder = await makeFolder();
    generator = build(folder);
  });
  afterEach(async () => {
    await generator.close();
    await rm(folder, { recursive: true, force: true });
  });

  function build(imagesDir: string | undefined): MockImageGenerator {
    return new MockImageGenerator({ style: 'existing', imagesDir, delayMs: 0, steps: 1, drawing, clock: systemClock });
  }

  /** The red channels of the images. */
  async function draw(parts: Partial<Work> = {}): Promise<(number | undefined)[]> {
    const images = await startRun(generator, makeWork({ seed: 0, ...parts })).images;
    return images.map((image) => (image.kind === 'raw' ? image.pixels.data[0] : undefined));
  }

  it('shows images of the era and the biome, one after the other', async () => {
    await generator.start();
    expect(await draw({ era: 'modern', biome: 'desert', numImages: 3 })).toEqual([20, 30, 20]);
    expect(await draw({ era: 'ruins', biome: 'river' })).toEqual([40]);
  });

  it('shows any image when none is of the era and the biome', async () => {
    await generator.start();
    expect(await draw({ era: 'future', biome: 'desert', numImages: 4 })).toEqual([40, 10, 20, 30]);
  });

  it('fills the size that was asked for', async () => {
    await generator.start();
    const [image] = await startRun(generator, makeWork({ width: 90, height: 70 })).images;
    expect(image).toMatchObject({ kind: 'raw', pixels: { width: 90, height: 70, channels: 3 } });
  });

  it('changes nothing in the folder', async () => {
    await put(folder, 'latest.png', plainPng([99, 0, 0]));
    await put(folder, 'damaged.png', Buffer.from('no image'));
    await symlink('a.png', join(folder, 'latest.jpg'));
    const before = await fingerprint();
    await generator.start();
    await draw({ numImages: 10 });
    await draw({ numImages: 10, era: 'modern', biome: 'desert' });
    await generator.close();
    expect(await fingerprint()).toEqual(before);
  });

  async function fingerprint(): Promise<unknown[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const described = entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mtimeMs, ctimeMs, size, ino, mode } = await stat(path);
      const hash = entry.isDirectory()
        ? ''
        : createHash('sha256')
            .update(await readFile(path))
            .digest('hex');
      return { path, mtimeMs, ctimeMs, size, ino, mode, hash, link: entry.isSymbolicLink() };
    });
    return await Promise.all(described);
  }

  it('passes over damaged images', async () => {
    await put(folder, 'modern/desert/b.png', plainPng([20, 0, 0]).subarray(0, 40));
    await generator.start();
    expect(await draw({ era: 'modern', biome: 'desert', numImages: 2 })).toEqual([30, 30]);
  });

  it('passes over images that have vanished, and finds new ones then', async () => {
    await generator.start();
    await rm(join(folder, 'modern/desert/b.png'));
    await put(folder, 'modern/desert/e.png', plainPng([50, 0, 0]));
    await draw({ era: 'modern', biome: 'desert' });
    expect(await draw({ era: 'modern', biome: 'desert', numImages: 2 })).toEqual([30, 50]);
  });

  it('does not follow an image that has become a link', async () => {
    await generator.start();
    await put(folder, 'other.bin', plainPng([60, 0, 0]));
    await rm(join(folder, 'modern/desert/b.png'));
    await symlink('../../other.bin', join(folder, 'modern/desert/b.png'));
    expect(await draw({ era: 'modern', biome: 'desert', numImages: 2 })).toEqual([30, 30]);
  });

  it('fails without naming files when no image is left, and works again when there are some', async () => {
    await generator.start();
    for (const path of Object.keys(COLOURS)) await rm(join(folder, path));
    for (let time = 1; time <= 2; time += 1) {
      await expect(draw()).rejects.toMatchObject({
        code: 'generator_failed',
        message: expect.not.stringContaining(folder),
      });
    }
    await put(folder, 'new.png', plainPng([70, 0, 0]));
    expect(await draw()).toEqual([70]);
  });

  it('fails when the folder itself has vanished', async () => {
    await generator.start();
    await rm(folder, { recursive: true });
    await expect(draw()).rejects.toMatchObject({ code: 'generator_failed' });
  });

  it('fails when every image is damaged', async () => {
    for (const path of Object.keys(COLOURS)) await put(folder, path, Buffer.from('no image'));
    await generator.start();
    await expect(draw()).rejects.toMatchObject({ code: 'generator_failed' });
  });

  it.each([
    ['is not set', undefined],
    ['does not exist', 'missing'],
    ['is a file', 'a.png'],
    ['has no images', 'empty'],
    ['has nothing but a link called latest', 'only-latest'],
  ])('does not start when the folder %s', async (_case, name) => {
    await mkdir(join(folder, 'empty'));
    await mkdir(join(folder, 'only-latest'));
    await symlink('../a.png', join(folder, 'only-latest/latest.png'));
    const other = build(name === undefined ? undefined : join(folder, name));

    await expect(other.start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^\[mock\] images_dir (?!.*\/)/),
    });
    expect(other.health()).toMatchObject({ state: 'disabled', reason: expect.stringContaining('images_dir') });
    await expect(startRun(other, makeWork()).images).rejects.toMatchObject({ code: 'generator_unavailable' });
    await other.close();
  });

  it('shows the same images whatever their dates', async () => {
    await generator.start();
    const before = await draw({ numImages: 4 });
    await utimes(join(folder, 'a.png'), 1, 1);
    const again = build(folder);
    await again.start();
    await generator.close();
    generator = again;
    expect(await draw({ numImages: 4 })).toEqual(before);
  });
});
