import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseImage, scanFolder } from '../../../src/generators/mock/image-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mock-folder-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function fill(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), 'x');
  }
}

async function scan(): Promise<string[]> {
  return (await scanFolder(folder)).map(({ file }) => relative(folder, file));
}

async function choose(wish: { era?: string; biome?: string; seed?: number }): Promise<string | undefined> {
  const image = chooseImage(await scanFolder(folder), { seed: 0, ...wish });
  return image && relative(folder, image.file);
}

describe('the scan', () => {
  it('finds images at any depth, sorted by path, and no other files', async () => {
    await fill(
      'z.png',
      'a/b/c.JPG',
      'a.jpeg',
      'm/x.WebP',
      'notes.txt',
      'a/x.png.txt',
      'x.tiff',
      'y.bmp',
      'png',
      '.png',
    );
    expect(await scan()).toEqual(['.png', 'a.jpeg', 'a/b/c.JPG', 'm/x.WebP', 'z.png']);
  });

  it('leaves out what is called latest, whatever its case and type', async () => {
    await fill('latest.png', 'a/latest.jpg', 'LATEST.webp', 'latest.old.png', 'latest-1.png', 'my.latest.png');
    expect(await scan()).toEqual(['latest-1.png', 'my.latest.png']);
  });

  it('follows no links: not to files, not to directories, not in circles', async () => {
    await fill('in/a.png');
    const outside = await mkdtemp(join(tmpdir(), 'mock-outside-'));
    await writeFile(join(outside, 'secret.png'), 'x');
    await symlink('..', join(folder, 'in/up'));
    await symlink('.', join(folder, 'in/self'));
    await symlink(outside, join(folder, 'out'));
    await symlink(join(outside, 'secret.png'), join(folder, 'b.png'));
    await symlink('c.png', join(folder, 'c.png'));
    expect(await scan()).toEqual(['in/a.png']);
    await rm(outside, { recursive: true });
  });

  it('works through a folder that is itself a link', async () => {
    await fill('real/modern/river/a.png');
    await symlink('real', join(folder, 'linked'));
    const [image] = await scanFolder(join(folder, 'linked'));
    expect([...(image?.components ?? [])]).toEqual(['modern', 'river']);
  });

  it('does not take directories that are named like images for images', async () => {
    await fill('a.png/b.png');
    expect(await scan()).toEqual(['a.png/b.png']);
  });
});

describe('the choice', () => {
  const files = [
    'any/other.png',
    'desert/modern/deep/swapped.png',
    'Future/RIVER/upper.png',
    'modern/desert-like/no.png',
    'modern_desert.png',
    'ruins/coastal.png',
    'x/wilderness/y/jungle/z/far.png',
  ];

  it.each([
    ['the era above the biome, with others between', 'wilderness', 'jungle', ['x/wilderness/y/jungle/z/far.png']],
    ['the biome above the era', 'modern', 'desert', ['desert/modern/deep/swapped.png']],
    ['directories in upper case', 'future', 'river', ['Future/RIVER/upper.png']],
    ['a wish in upper case', 'FUTURE', 'River', ['Future/RIVER/upper.png']],
    ['a file that is named like the biome, which does not count', 'ruins', 'coastal', files],
    ['an era that no directory has', 'dystopia', 'desert', files],
    ['parts of names, which do not count', 'mod', 'des', files],
    ['no era', undefined, 'desert', files],
    ['no biome', 'modern', undefined, files],
    ['neither', undefined, undefined, files],
  ])('knows %s', async (_case, era, biome, candidates) => {
    await fill(...files);
    const wish = { ...(era !== undefined && { era }), ...(biome !== undefined && { biome }) };
    const chosen = await Promise.all([...candidates.keys()].map((seed) => choose({ ...wish, seed })));
    expect(chosen).toEqual([...candidates].sort());
  });

  it('does not count the folder itself or what is above it', async () => {
    await fill('modern/desert/x.png', 'modern/desert/sub/y.png', 'modern/desert/sub/z.png');
    const images = await scanFolder(join(folder, 'modern/desert'));
    expect(images.map(({ components }) => components.has('desert'))).toEqual([false, false, false]);
  });

  it('shows consecutive seeds one after the other and starts again, up to the largest seed', async () => {
    await fill('a.png', 'b.png', 'c.png');
    const seeds = [0, 1, 2, 3, 2 ** 32 - 1];
    expect(await Promise.all(seeds.map((seed) => choose({ seed })))).toEqual([
      'a.png',
      'b.png',
      'c.png',
      'a.png',
      'a.png',
    ]);
  });

  it('is nothing in an empty folder', async () => {
    expect(await choose({ seed: 5 })).toBeUndefined();
  });
});
