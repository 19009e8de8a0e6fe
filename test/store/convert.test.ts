import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import type { RawPixels } from '../../src/generators/generator.ts';
import { createImages } from '../../src/store/convert.ts';
import { bitPng, failure, noise, temporaryFolder } from './helper.ts';

const CONVERT = new URL('../../src/store/convert.ts', import.meta.url).href;
const images = createImages({ maxPixels: 16_800_000, maxBytes: 1_000_000 });

function pixel(pixels: RawPixels, x: number, y: number): number[] {
  const start = (y * pixels.width + x) * pixels.channels;
  return [...pixels.data.subarray(start, start + pixels.channels)];
}

function shape({ width, height, channels }: RawPixels) {
  return { width, height, channels };
}

function ink({ data, channels }: RawPixels): number {
  let sum = 0;
  for (let i = channels - 1; i < data.length; i += channels) sum += data[i] ?? 0;
  return sum;
}

const textBox = { width: 400, height: 300, sizePx: 24, colour: '#ffcc00' };

describe('inspecting', () => {
  test('tells format and size of PNG, JPEG and WebP', async () => {
    const source = noise(60, 40);
    expect(await images.inspect(await source.clone().png().toBuffer())).toEqual({
      format: 'png',
      width: 60,
      height: 40,
    });
    expect(await images.inspect(await source.clone().jpeg().toBuffer())).toMatchObject({ format: 'jpeg' });
    expect(await images.inspect(await source.clone().webp().toBuffer())).toMatchObject({ format: 'webp' });
  });

  test('takes one-pixel, grey, 16-bit, CMYK, palette and transparent images', async () => {
    const source = noise(30, 20);
    const png = await source.clone().png().toBuffer();
    const files = [
      noise(1, 1).png(),
      sharp(png).toColourspace('b-w').png(),
      sharp(png).toColourspace('rgb16').png(),
      sharp(png).toColourspace('cmyk').jpeg(),
      sharp(png).png({ palette: true }),
      sharp(png).ensureAlpha(0.5).webp(),
    ];
    for (const file of files) await images.inspect(await file.toBuffer());
  });

  test('gives the size of an upright image', async () => {
    const turned = await noise(60, 40).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await images.inspect(turned)).toEqual({ format: 'jpeg', width: 40, height: 60 });
  });

  test('reads the HDR photographs of telephones as plain JPEGs', async () => {
    const ultraHdr = await readFile(new URL('ultra-hdr.jpg', import.meta.url));
    expect(await images.inspect(ultraHdr)).toEqual({ format: 'jpeg', width: 64, height: 64 });
  });

  test('refuses a decompression bomb by its header, saying what is allowed', async () => {
    const bomb = bitPng(16_000, 16_000);
    expect(bomb.length).toBeLessThan(40_000);
    const error = await failure(images.inspect(bomb));
    expect(error.code).toBe('invalid_image');
    expect(error.message).toBe(
      'The image has too many pixels. ' +
        'Allowed are PNG, JPEG and WebP images of at most 16800000 pixels and 1000000 bytes.',
    );
  });

  test('refuses sides that could not be scaled', async () => {
    expect((await failure(images.inspect(bitPng(8, 70_000)))).message).toMatch(/side of over 65535 pixels/);
  });

  test('refuses files of too many bytes', async () => {
    expect((await failure(images.inspect(Buffer.alloc(1_000_001)))).message).toMatch(/too many bytes/);
  });

  test('refuses animations', async () => {
    const frames = await noise(20, 40).raw().toBuffer();
    const raw = { width: 20, height: 40, channels: 3, pageHeight: 20 } as const;
    const animation = await sharp(frames, { raw })
      .webp({ loop: 0, delay: [50, 50] })
      .toBuffer();
    expect((await failure(images.inspect(animation))).message).toMatch(/is an animation/);
  });

  test.for([
    ['nothing', Buffer.alloc(0), /is empty/],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /no PNG, JPEG or WebP/],
    ['HTML', Buffer.from('<!doctype html><title>502</title>'), /no PNG, JPEG or WebP/],
    ['GIF', Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'), /no PNG, JPEG or WebP/],
    ['PDF', Buffer.from('%PDF-1.4\n'), /no PNG, JPEG or WebP/],
    ['a PNG signature alone', Buffer.from('89504e470d0a1a0a', 'hex'), /damaged or incomplete|no PNG/],
    ['random bytes', Buffer.from('d4f1a09be1', 'hex'), /no PNG, JPEG or WebP/],
  ] as const)('refuses %s', async ([, bytes, message]) => {
    const error = await failure(images.inspect(bytes));
    expect(error.code).toBe('invalid_image');
    expect(error.message).toMatch(message);
  });

  test('refuses TIFF and AVIF, which sharp could read', async () => {
    const png = await noise(16, 16).png().toBuffer();
    expect((await failure(images.inspect(await sharp(png).tiff().toBuffer()))).message).toMatch(/no PNG/);
    expect((await failure(images.inspect(await sharp(png).avif().toBuffer()))).message).toMatch(/no PNG/);
  });

  test('refuses files that are cut anywhere', async () => {
    const source = noise(200, 150);
    const whole = [
      await source.clone().png().toBuffer(),
      await source.clone().png({ progressive: true }).toBuffer(),
      await source.clone().jpeg().toBuffer(),
      await source.clone().jpeg({ progressive: true }).toBuffer(),
      await source.clone().webp().toBuffer(),
    ];
    for (const bytes of whole) {
      await images.inspect(bytes);
      for (const length of [10, 40, bytes.length / 2, bytes.length - 100, bytes.length - 9, bytes.length - 1]) {
        const error = await failure(images.inspect(bytes.subarray(0, length)));
        expect(error.message).toMatch(/damaged or incomplete|no PNG, JPEG or WebP/);
      }
    }
  });

  test('refuses a JPEG that ends early but properly, and a PNG with a wrong bit', async () => {
    const jpeg = await noise(200, 150).jpeg().toBuffer();
    const early = Buffer.concat([jpeg.subarray(0, jpeg.length / 2), Buffer.from('ffd9', 'hex')]);
    expect((await failure(images.inspect(early))).message).toMatch(/damaged or incomplete/);
    const png = await noise(200, 150).png().toBuffer();
    const middle = Math.floor(png.length / 2);
    png.writeUInt8(png.readUInt8(middle) ^ 1, middle);
    expect((await failure(images.inspect(png))).message).toMatch(/damaged or incomplete/);
  });
});

describe('encoding', () => {
  const raw = { kind: 'raw', pixels: images.blank({ width: 40, height: 30 }, { r: 200, g: 100, b: 50 }) } as const;

  test.for(['png', 'jpeg'] as const)('equal pixels give equal %s bytes, without metadata', async (format) => {
    const data = await noise(128, 96).raw().toBuffer();
    const content = { kind: 'raw', pixels: { data, width: 128, height: 96, channels: 3 } } as const;
    const first = await images.encode(content, { format, quality: 80 });
    const second = await images.encode(content, { format, quality: 80 });
    expect(first.bytes.equals(second.bytes)).toBe(true);
    expect(first).toMatchObject({ width: 128, height: 96 });
    const { exif, icc, xmp, ...rest } = await sharp(first.bytes).metadata();
    expect([exif, icc, xmp]).toEqual([undefined, undefined, undefined]);
    expect(rest).toMatchObject({ format, width: 128, height: 96, channels: 3 });
  });

  test('PNG keeps every pixel, JPEG obeys the quality', async () => {
    const { bytes } = await images.encode(raw, { format: 'png', quality: 1 });
    expect(pixel(await images.cover(bytes, { width: 40, height: 30 }), 20, 15)).toEqual([200, 100, 50]);
    const data = await noise(64, 64).raw().toBuffer();
    const content = { kind: 'raw', pixels: { data, width: 64, height: 64, channels: 3 } } as const;
    const low = await images.encode(content, { format: 'jpeg', quality: 10 });
    const high = await images.encode(content, { format: 'jpeg', quality: 95 });
    expect(high.bytes.length).toBeGreaterThan(2 * low.bytes.length);
  });

  test('an encoded source is encoded anew: upright, without metadata and what follows the image', async () => {
    const source = await noise(60, 40).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const bytes = Buffer.concat([source, Buffer.from('<script>')]);
    const encoded = await images.encode({ kind: 'encoded', bytes }, { format: 'jpeg', quality: 90 });
    expect(encoded).toMatchObject({ width: 40, height: 60 });
    expect(encoded.bytes.includes('<script>')).toBe(false);
    expect((await sharp(encoded.bytes).metadata()).orientation).toBeUndefined();
  });

  test('transparent pixels are black in a JPEG', async () => {
    const pixels: RawPixels = { data: new Uint8Array(16 * 16 * 4).fill(255), width: 16, height: 16, channels: 4 };
    for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 0;
    const { bytes } = await images.encode({ kind: 'raw', pixels }, { format: 'jpeg', quality: 90 });
    expect(pixel(await images.cover(bytes, { width: 16, height: 16 }), 8, 8)).toEqual([0, 0, 0]);
  });

  test("a provider's unusable image is invalid_output, unusable pixels are generator_failed", async () => {
    const jpeg = await noise(64, 64).jpeg().toBuffer();
    const bad = [Buffer.alloc(0), Buffer.from('<html>'), jpeg.subarray(0, 500), bitPng(16_000, 16_000)];
    for (const bytes of bad) {
      const error = await failure(images.encode({ kind: 'encoded', bytes }, { format: 'png', quality: 90 }));
      expect(error).toMatchObject({ code: 'invalid_output', retryable: false });
    }
    const pixels: RawPixels = { data: new Uint8Array(10), width: 16, height: 16, channels: 3 };
    const error = await failure(images.encode({ kind: 'raw', pixels }, { format: 'png', quality: 90 }));
    expect(error.code).toBe('generator_failed');
  });
});

describe('decoding', () => {
  const grey = { width: 5, height: 3, channels: 1 } as const;

  test('keeps the size, and makes three channels of one', async () => {
    const bytes = await sharp(Buffer.from([...Array(15).keys()].map((i) => i * 17)), { raw: grey })
      .png()
      .toBuffer();
    const pixels = await images.decode(bytes);
    expect(shape(pixels)).toEqual({ width: 5, height: 3, channels: 3 });
    expect(pixel(pixels, 4, 2)).toEqual([238, 238, 238]);
  });

  test('gives 16 bits as 8', async () => {
    const bytes = await sharp(new Uint16Array(15).fill(0x8000), { raw: grey }).toColourspace('grey16').png().toBuffer();
    const [value = 0] = pixel(await images.decode(bytes), 0, 0);
    expect(Math.abs(value - 128)).toBeLessThanOrEqual(1);
  });

  test('leaves what is transparent its colour', async () => {
    const background = { r: 200, g: 100, b: 50, alpha: 0 };
    const bytes = await sharp({ create: { width: 4, height: 4, channels: 4, background } })
      .png()
      .toBuffer();
    expect(pixel(await images.decode(bytes), 1, 1)).toEqual([200, 100, 50]);
  });

  test('turns a photograph upright', async () => {
    const background = { r: 1, g: 2, b: 3 };
    const flat = sharp({ create: { width: 6, height: 4, channels: 3, background } });
    const bytes = await flat.jpeg().withMetadata({ orientation: 6 }).toBuffer();
    expect(shape(await images.decode(bytes))).toEqual({ width: 4, height: 6, channels: 3 });
  });

  test('refuses what is no image', async () => {
    expect(await failure(images.decode(Buffer.from('text')))).toMatchObject({ code: 'invalid_image' });
  });
});

describe('covering', () => {
  test('fills the size, keeps the proportions and cuts the overhang', async () => {
    const data = Buffer.alloc(300 * 100 * 3);
    for (let i = 0; i < data.length; i += 3) data[i + (Math.floor((i / 3) % 300) < 100 ? 0 : 1)] = 255;
    const bytes = await sharp(data, { raw: { width: 300, height: 100, channels: 3 } })
      .png()
      .toBuffer();
    const covered = await images.cover(bytes, { width: 50, height: 50 });
    expect(shape(covered)).toEqual({ width: 50, height: 50, channels: 3 });
    expect(pixel(covered, 10, 25)).toEqual([0, 255, 0]);
    expect(pixel(covered, 45, 25)).toEqual([0, 255, 0]);
  });

  test('turns a photograph upright', async () => {
    const data = Buffer.from([255, 0, 0, 0, 0, 255]);
    const source = sharp(data, { raw: { width: 2, height: 1, channels: 3 } });
    const bytes = await source.withMetadata({ orientation: 6 }).png().toBuffer();
    const covered = await images.cover(bytes, { width: 1, height: 2 });
    expect([pixel(covered, 0, 0), pixel(covered, 0, 1)]).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  test('grey, 16-bit, CMYK and transparent images become RGB, on black', async () => {
    const png = await noise(30, 20).png().toBuffer();
    const sources = [
      sharp(png).toColourspace('b-w').png(),
      sharp(png).toColourspace('rgb16').png(),
      sharp(png).toColourspace('cmyk').jpeg(),
    ];
    for (const source of sources) {
      expect((await images.cover(await source.toBuffer(), { width: 9, height: 9 })).channels).toBe(3);
    }
    const clear = await sharp(png).ensureAlpha(0).png().toBuffer();
    expect(pixel(await images.cover(clear, { width: 9, height: 9 }), 4, 4)).toEqual([0, 0, 0]);
  });

  test('takes the most extreme proportions', async () => {
    for (const bytes of [bitPng(65_535, 1), bitPng(1, 65_535)]) {
      expect(shape(await images.cover(bytes, { width: 512, height: 256 }))).toMatchObject({ width: 512, height: 256 });
    }
  });

  test('refuses what is no image', async () => {
    expect((await failure(images.cover(Buffer.from('x'), { width: 9, height: 9 }))).code).toBe('invalid_image');
  });
});

describe('text', () => {
  test('is as large as it needs to be, in its colour, on transparent ground', async () => {
    const drawn = await images.text('Hello', textBox);
    expect(drawn.channels).toBe(4);
    expect(drawn.width).toBeLessThan(100);
    expect(drawn.height).toBeLessThan(30);
    const letters = [...drawn.data.keys()].filter((i) => i % 4 === 3 && drawn.data[i] === 255);
    expect(letters.length).toBeGreaterThan(50);
    for (const i of letters) expect([...drawn.data.subarray(i - 3, i)]).toEqual([255, 204, 0]);
  });

  test('wraps lines, breaks long words, and never leaves its box', async () => {
    const one = await images.text('A few words', textBox);
    const two = await images.text('A few words that need more than one line of this box', textBox);
    expect(two.height).toBeGreaterThan(1.8 * one.height);
    for (const text of ['x'.repeat(10_000), 'x\n'.repeat(10_000), 'W '.repeat(5000), `Z${'\u0301'.repeat(9000)}`]) {
      const drawn = await images.text(text, textBox);
      expect(drawn.width).toBeLessThanOrEqual(400);
      expect(drawn.height).toBeLessThanOrEqual(300);
      expect(ink(drawn)).toBeGreaterThan(0);
    }
    const narrow = await images.text('WWW', { ...textBox, width: 5 });
    expect(narrow.width).toBeLessThanOrEqual(5);
  });

  test('fills a large box with narrow letters, and survives letters that stack', async () => {
    const box = { ...textBox, width: 4096, height: 2048, sizePx: 12 };
    expect((await images.text('i'.repeat(200_000), box)).height).toBe(2048);
    const stacked = await images.text('W\u0301\u0302\n'.repeat(4000), { ...box, height: 4096 });
    expect(stacked.height).toBe(4096);
  });

  test('lines can be centred', async () => {
    const left = await images.text('i\nWWWWWW', textBox);
    const centred = await images.text('i\nWWWWWW', { ...textBox, align: 'centre' });
    expect(shape(centred)).toEqual(shape(left));
    expect(Buffer.compare(centred.data, left.data)).not.toBe(0);
  });

  test('markup in it is text', async () => {
    const markup = await images.text('<b>&amp;</b>', textBox);
    expect(markup.width).toBeGreaterThan(100);
    const plain = await images.text('&', textBox);
    expect(markup.width).toBeGreaterThan(4 * plain.width);
  });

  test.for([
    ['a NUL', 'before\0after', 'before after'],
    ['control characters', 'before\u0001\u001b[31mafter', 'before  [31mafter'],
    ['a lone surrogate', 'before\ud800after', 'before\ufffdafter'],
    ['line ends of other systems', 'a\r\nb\rc\u2028d\u0085e', 'a\nb\nc\nd\ne'],
  ])('%s does not break it', async ([, odd, plain]) => {
    const expected = await images.text(plain ?? '', textBox);
    const drawn = await images.text(odd ?? '', textBox);
    expect(shape(drawn)).toEqual(shape(expected));
    expect(Buffer.compare(drawn.data, expected.data)).toBe(0);
  });

  test.for(['', ' ', '\n\n', '\u200b\u200d', '\0'])('nothing visible in %j gives one clear pixel', async (text) => {
    const drawn = await images.text(text, textBox);
    expect(shape(drawn)).toEqual({ width: 1, height: 1, channels: 4 });
    expect(ink(drawn)).toBe(0);
  });

  test('comes from the font file of the project where the machine has no fonts', async () => {
    const config = join(await temporaryFolder(), 'fonts.conf');
    await writeFile(
      config,
      '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig/>',
    );
    const script = `
      import { createImages } from ${JSON.stringify(CONVERT)};
      const images = createImages({ maxPixels: 1, maxBytes: 1 });
      const draw = async (text) => Buffer.from((await images.text(text, ${JSON.stringify(textBox)})).data);
      console.log((await draw('mm')).length > 1.5 * (await draw('ii')).length);
    `;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, FONTCONFIG_FILE: config },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(String(output)).toBe('true\n');
  });
});

describe('drawing', () => {
  const red = images.blank({ width: 20, height: 10 }, { r: 255, g: 0, b: 0 });
  const blue = images.blank({ width: 20, height: 10 }, { r: 0, g: 0, b: 255 });

  test('a blank image has one colour', () => {
    expect(shape(red)).toEqual({ width: 20, height: 10, channels: 3 });
    expect(pixel(red, 19, 9)).toEqual([255, 0, 0]);
  });

  test('overlays cover the base in their order, and only where they are opaque', async () => {
    const spot = images.blank({ width: 4, height: 4 }, { r: 0, g: 255, b: 0 });
    const half: RawPixels = { data: Uint8Array.from([255, 255, 255, 128]), width: 1, height: 1, channels: 4 };
    const composed = await images.compose(red, [
      { pixels: spot, left: 2, top: 2 },
      { pixels: half, left: 10, top: 5 },
      { pixels: half, left: 3, top: 3 },
    ]);
    expect(shape(composed)).toEqual({ width: 20, height: 10, channels: 3 });
    expect(pixel(composed, 1, 1)).toEqual([255, 0, 0]);
    expect(pixel(composed, 2, 2)).toEqual([0, 255, 0]);
    expect(pixel(composed, 10, 5)).toEqual([255, 128, 128]);
    expect(pixel(composed, 3, 3)).toEqual([128, 255, 128]);
  });

  test('overlays may reach beyond the base, cover it, or lie beside it', async () => {
    const large = images.blank({ width: 100, height: 100 }, { r: 0, g: 0, b: 255 });
    const at = async (left: number, top: number) => await images.compose(red, [{ pixels: large, left, top }]);
    const covered = await at(-30, -30);
    expect([pixel(covered, 0, 0), pixel(covered, 19, 9)]).toEqual([
      [0, 0, 255],
      [0, 0, 255],
    ]);
    const corner = await at(15, 5);
    expect([pixel(corner, 14, 5), pixel(corner, 15, 4), pixel(corner, 15, 5)]).toEqual([
      [255, 0, 0],
      [255, 0, 0],
      [0, 0, 255],
    ]);
    const left = await at(-95, -95);
    expect([pixel(left, 4, 4), pixel(left, 5, 4)]).toEqual([
      [0, 0, 255],
      [255, 0, 0],
    ]);
    expect(Buffer.compare((await at(20, 0)).data, red.data)).toBe(0);
    expect(Buffer.compare((await at(0, -100)).data, red.data)).toBe(0);
  });

  test('no overlays leave the base as it is', async () => {
    expect(Buffer.compare((await images.compose(red, [])).data, red.data)).toBe(0);
  });

  test('blending goes from one image to the other', async () => {
    expect(pixel(await images.blend(red, blue, 0), 3, 3)).toEqual([255, 0, 0]);
    expect(pixel(await images.blend(red, blue, 1), 3, 3)).toEqual([0, 0, 255]);
    const [r = 0, , b = 0] = pixel(await images.blend(red, blue, 0.25), 3, 3);
    expect(Math.abs(r - 191)).toBeLessThanOrEqual(1);
    expect(Math.abs(b - 64)).toBeLessThanOrEqual(1);
  });

  test('darkening goes to black', async () => {
    const grey = images.blank({ width: 4, height: 4 }, { r: 200, g: 100, b: 50 });
    expect(pixel(await images.darken(grey, 0), 1, 1)).toEqual([200, 100, 50]);
    expect(pixel(await images.darken(grey, 0.5), 1, 1)).toEqual([100, 50, 25]);
    expect(pixel(await images.darken(grey, 1), 1, 1)).toEqual([0, 0, 0]);
  });

  test('shrinking keeps proportions and channels, and never enlarges', async () => {
    expect(shape(await images.shrink(red, 10))).toEqual({ width: 10, height: 5, channels: 3 });
    expect(shape(await images.shrink(red, 100))).toEqual({ width: 20, height: 10, channels: 3 });
    const clear: RawPixels = { data: new Uint8Array(8 * 8 * 4), width: 8, height: 8, channels: 4 };
    expect(shape(await images.shrink(clear, 4))).toEqual({ width: 4, height: 4, channels: 4 });
  });
});
