import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { ImageSource } from '../../src/messages/fields.ts';
import { createImages } from '../../src/store/convert.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import { createInputReader } from '../../src/store/inputs.ts';
import { bitPng, failure, noise, temporaryFolder } from './helper.ts';

const LIMIT = 50_000;
const png = await noise(40, 30).png().toBuffer();
const images = createImages({ maxPixels: 1_000_000, maxBytes: LIMIT });

async function setUp() {
  const folder = await temporaryFolder();
  const root = join(folder, 'allowed');
  await mkdir(root);
  const store = await createFileImageStore({ dir: join(folder, 'store') });
  const reader = createInputReader({ images, store, maxBytes: LIMIT, fileRoots: [join(folder, 'missing'), root] });
  const accept = async (source: ImageSource, files = true) => await reader.accept(source, { files }, 'depth_map');
  return { folder, root, store, accept };
}

async function refused(promise: Promise<unknown>, code: ErrorCode, path: string, message: RegExp): Promise<string> {
  const error = await failure(promise);
  expect(error.code).toBe(code);
  expect(error.message.startsWith(`${path}: `)).toBe(true);
  expect(error.message).toMatch(message);
  expect(error.issues).toEqual([{ path, message: error.message.slice(path.length + 2) }]);
  return error.message;
}

describe('image_data', () => {
  const base64 = png.toString('base64');

  test.for([
    ['bare base64', base64],
    ['a data URL', `data:image/png;base64,${base64}`],
    ['a data URL with another type than its bytes', `data:image/jpeg;base64,${base64}`],
    ['a data URL without a type', `data:;base64,${base64}`],
    ['a data URL with parameters, in capitals', `DATA:image/png;name=x.png;BASE64,${base64}`],
    ['lines as in mail', `\n${base64.replace(/.{76}/g, '$&\r\n')}\n`],
  ] as const)('%s is accepted and stored', async ([, image_data]) => {
    const { accept, store } = await setUp();
    const { imageId } = await accept({ image_data }, false);
    expect((await store.readInput(imageId)).equals(png)).toBe(true);
  });

  test.for([
    ['words', 'not base64!', /not valid base64/],
    ['the alphabet of URLs', '_-_-', /not valid base64/],
    ['missing padding', 'aGVsbG8', /not valid base64/],
    ['padding in the middle', 'aGVs=G8=', /not valid base64/],
    ['a data URL without base64', 'data:image/png,hello', /data URL without base64/],
    ['a data URL without data', 'data:image/png;base64', /data URL without base64/],
    ['an empty data URL', 'data:image/png;base64,', /is empty/],
    ['white space', ' \n ', /is empty/],
    ['text', Buffer.from('hello').toString('base64'), /no PNG, JPEG or WebP file/],
    ['half an image', png.subarray(0, 2000).toString('base64'), /damaged or incomplete/],
    ['a bomb', bitPng(4000, 4000).toString('base64'), /too many pixels/],
  ] as const)('%s is refused', async ([, image_data, message]) => {
    const { accept } = await setUp();
    await refused(accept({ image_data }), 'invalid_image', 'depth_map.image_data', message);
  });

  test('more than the limit is refused before it is decoded, even when it is not base64', async () => {
    const { accept } = await setUp();
    await refused(accept({ image_data: '!'.repeat(80_000) }), 'invalid_image', 'depth_map.image_data', /50000 bytes/);
  });

  test('tens of megabytes are checked without overflowing', async () => {
    const { store } = await setUp();
    const reader = createInputReader({ images, store, maxBytes: 100_000_000, fileRoots: [] });
    const source = { image_data: Buffer.alloc(40_000_000).toString('base64') };
    await refused(reader.accept(source, { files: false }, 'mask'), 'invalid_image', 'mask.image_data', /bytes/);
  });
});

describe('files', () => {
  test.for(['%s', 'file://%s', 'FILE://%s'])('an address like %j is read below a root', async (form) => {
    const { accept, root, store } = await setUp();
    await writeFile(join(root, 'a.png'), png);
    const { imageId } = await accept({ uri: form.replace('%s', join(root, 'a.png')) });
    expect((await store.readInput(imageId)).equals(png)).toBe(true);
  });

  test('a percent sign in a name is a percent sign', async () => {
    const { accept, root } = await setUp();
    await writeFile(join(root, 'a%20b c.png'), png);
    await accept({ uri: `file://${join(root, 'a%20b c.png')}` });
    await refused(
      accept({ uri: `file://${join(root, 'a%20b%20c.png')}` }),
      'uri_not_allowed',
      'depth_map.uri',
      /folders/,
    );
  });

  test('a link within a root is followed, and a root may be a link', async () => {
    const { folder, root, store } = await setUp();
    await writeFile(join(root, 'a.png'), png);
    await symlink('a.png', join(root, 'link.png'));
    await symlink(root, join(folder, 'link'));
    const reader = createInputReader({ images, store, maxBytes: LIMIT, fileRoots: [join(folder, 'link')] });
    await reader.accept({ uri: join(root, 'link.png') }, { files: true }, 'mask');
    await reader.accept({ uri: join(folder, 'link', 'link.png') }, { files: true }, 'mask');
  });

  test('whatever else a path names, the answer is the same', async () => {
    const { accept, folder, root } = await setUp();
    await writeFile(join(folder, 'outside.png'), png);
    await mkdir(join(folder, 'allowed-not'));
    await writeFile(join(folder, 'allowed-not', 'a.png'), png);
    await symlink(join(folder, 'outside.png'), join(root, 'escape.png'));
    await symlink('/etc', join(root, 'etc'));
    await symlink('loop', join(root, 'loop'));
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const uris = [
      'file:///etc/passwd',
      'file:///etc/there-is-no-such-file',
      'file:///proc/self/environ',
      '/dev/zero',
      `${root}/../outside.png`,
      join(folder, 'allowed-not', 'a.png'),
      join(root, 'escape.png'),
      join(root, 'etc', 'passwd'),
      join(root, 'loop'),
      join(root, 'pipe'),
      join(root, 'missing.png'),
      join(root, 'x'.repeat(300)),
      join(root, 'a.png\0.txt'),
      root,
      'file://localhost/etc/passwd',
      'file:relative.png',
      'relative.png',
      'ftp://example.org/a.png',
      'data:image/png;base64,AAAA',
    ];
    const answers = new Set<string>();
    for (const uri of uris) answers.add(await refused(accept({ uri }), 'uri_not_allowed', 'depth_map.uri', /folders/));
    expect(answers.size).toBe(1);
  });

  test('a root that is deleted and made again is still a root', async () => {
    const { accept, root } = await setUp();
    await rm(root, { recursive: true });
    await refused(accept({ uri: join(root, 'a.png') }), 'uri_not_allowed', 'depth_map.uri', /folders/);
    await mkdir(root);
    await writeFile(join(root, 'a.png'), png);
    await accept({ uri: join(root, 'a.png') });
  });

  test('a file below a root that is no image, or too large, is invalid_image', async () => {
    const { accept, root } = await setUp();
    await writeFile(join(root, 'a.png'), 'text');
    await writeFile(join(root, 'b.png'), Buffer.alloc(LIMIT + 1));
    await refused(accept({ uri: join(root, 'a.png') }), 'invalid_image', 'depth_map.uri', /no PNG, JPEG or WebP/);
    await refused(accept({ uri: join(root, 'b.png') }), 'invalid_image', 'depth_map.uri', /more than 50000 bytes/);
  });

  test('where files are not allowed, none is read', async () => {
    const { accept, root } = await setUp();
    await writeFile(join(root, 'a.png'), png);
    await refused(accept({ uri: join(root, 'a.png') }, false), 'uri_not_allowed', 'depth_map.uri', /send image_data/);
  });
});

test.for(['http://127.0.0.1/a.png', 'HTTPS://example.org/a.png'])('the web address %s is refused', async (uri) => {
  const { accept } = await setUp();
  const message = /Web addresses are not allowed here/;
  await refused(accept({ uri }), 'uri_not_allowed', 'depth_map.uri', message);
  await refused(accept({ uri }, false), 'uri_not_allowed', 'depth_map.uri', message);
});

test('a source with neither key is an invalid request', async () => {
  const { accept } = await setUp();
  for (const source of [{}, { image_data: null }, { image_data: null, uri: null }])
    await refused(accept(source), 'invalid_request', 'depth_map', /either image_data or uri/);
});

test('null is as good as absent', async () => {
  const { accept, root } = await setUp();
  await writeFile(join(root, 'a.png'), png);
  const byFile = await accept({ image_data: null, uri: join(root, 'a.png') });
  expect(await accept({ image_data: png.toString('base64'), uri: null })).toEqual(byFile);
});

test('an image that comes as data and as a file is stored once', async () => {
  const { accept, root } = await setUp();
  await writeFile(join(root, 'a.png'), png);
  const first = await accept({ uri: join(root, 'a.png') });
  expect(await accept({ image_data: png.toString('base64') })).toEqual(first);
});
