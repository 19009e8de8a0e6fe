import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startModelServer } from '../../fakes/model-server.ts';
import { json } from '../../fakes/scripted-upstream.ts';
import { startApp } from '../../helper.ts';
import { bitPng, noise } from '../../store/helper.ts';
import { plainPng } from '../png.ts';

const SIDE = 256;
const PNG = plainPng([90, 120, 60], SIDE);
const JPEG = await noise(SIDE, SIDE).jpeg().toBuffer();
const WEBP = await noise(SIDE, SIDE).webp().toBuffer();

const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);

/** A PNG whose pixels are other bytes, with a checksum that does not hold. */
function withPixels(replacement: Buffer): Buffer {
  const changed = Buffer.from(PNG);
  replacement.copy(changed, PNG.indexOf('IDAT') + 4);
  return changed;
}

/** A JPEG that announces 65 000 × 65 000 pixels. */
function hugeJpeg(): Buffer {
  const changed = Buffer.from(JPEG);
  const frame = JPEG.indexOf(Buffer.from([0xff, 0xc0]));
  changed.writeUInt16BE(65_000, frame + 5);
  changed.writeUInt16BE(65_000, frame + 7);
  return changed;
}

/** What providers, and what stands before them, may send in the place of an image. */
const NOT_IMAGES: readonly [name: string, bytes: Buffer][] = [
  ['a page', Buffer.from('<!doctype html><title>Bad day</title>')],
  ['JSON', Buffer.from('{"error":"no image"}')],
  ['text', Buffer.from('not an image')],
  ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"/>')],
  ['a GIF', await noise(SIDE, SIDE).gif().toBuffer()],
  ['a TIFF', await noise(SIDE, SIDE).tiff().toBuffer()],
  ['an AVIF', await noise(64, 64).avif({ effort: 0 }).toBuffer()],
  ['a bitmap', Buffer.concat([Buffer.from('BM'), Buffer.alloc(200)])],
  ['a PDF', Buffer.from('%PDF-1.7\n%%EOF')],
  ['an archive', Buffer.concat([Buffer.from('PK\x03\x04'), randomBytes(200)])],
  ['random bytes', randomBytes(4096)],
  ['zeros', Buffer.alloc(4096)],
  ['the first bytes of a PNG', PNG.subarray(0, 8)],
  ['a PNG without pixels', Buffer.concat([PNG.subarray(0, PNG.indexOf('IDAT') - 4), PNG.subarray(-12)])],
  ['half a PNG', half(PNG)],
  ['a PNG of random pixels', withPixels(randomBytes(64))],
  ['a PNG of too few pixels', withPixels(deflateSync(Buffer.alloc(10)))],
  ['a page behind the first bytes of a PNG', Buffer.concat([PNG.subarray(0, 8), Buffer.from('<html></html>')])],
  ['a PNG that grows to a gigabyte', bitPng(16_000, 16_000)],
  ['the first bytes of a JPEG', JPEG.subarray(0, 3)],
  ['half a JPEG', half(JPEG)],
  ['a JPEG without an end', JPEG.subarray(0, -200)],
  ['a JPEG of four gigapixels', hugeJpeg()],
  ['the first bytes of a WebP', WEBP.subarray(0, 16)],
  ['half a WebP', half(WEBP)],
];

describe('a provider that sends no image', () => {
  it('fails the render, whatever it sends; nothing of it is kept, and the next image is well', async () => {
    const model = await startModelServer();
    onTestFinished(() => model.close());
    const app = await startApp({ config: { vastai: { base_url: model.url }, generator: { strategy: 'vastai' } } });
    const kept = async () => (await readdir(join(app.dir, 'images'), { recursive: true })).filter(isFile).length;
    const render = (prompt: string) => app.render({ prompt, width: SIDE, height: SIDE });

    for (const [index, [name, bytes]] of NOT_IMAGES.entries()) {
      model.plan('generate', json({ success: true, image_b64: bytes.toString('base64') }));
      const { body } = await render(name);
      expect(body, name).toMatchObject({ status: 'failed', error: { code: 'invalid_output', retryable: false } });
      expect(await kept(), name).toBe(index);
      expect((await render(`after ${name}`)).body, name).toMatchObject({ status: 'succeeded' });
    }
    expect(model.count('generate')).toBe(2 * NOT_IMAGES.length);
  });
});

function isFile(name: string): boolean {
  return /\.png$/.test(name) && !name.startsWith('latest');
}
