import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { createImages } from '../../src/store/convert.ts';
import { keepPlainPng } from '../../src/store/png-chunks.ts';
import { noise } from './helper.ts';

const limits = { maxPixels: 2 ** 20, maxSide: 4096 };
const images = createImages({ maxPixels: 2 ** 20, maxBytes: 2 ** 20 });
const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };
const END = chunk('IEND');

function chunk(name: string, content: Uint8Array | string = ''): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), Buffer.from(content)]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(body.length - 4);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly bits?: number;
  readonly colour?: number;
  readonly interlace?: number;
}

function header({ width, height, bits = 8, colour = 2, interlace = 0 }: Header): Buffer {
  const content = Buffer.alloc(13);
  content.writeUInt32BE(width);
  content.writeUInt32BE(height, 4);
  content.set([bits, colour, 0, 0, interlace], 8);
  return chunk('IHDR', content);
}

function png(...chunks: readonly Uint8Array[]): Buffer {
  return Buffer.concat([SIGNATURE, ...chunks]);
}

/** Names of all chunks up to the end of a file, which must be whole. */
function namesOf(file: Buffer): string[] {
  const names: string[] = [];
  let at = SIGNATURE.length;
  for (; at < file.length; at += 12 + file.readUInt32BE(at)) names.push(file.toString('latin1', at + 4, at + 8));
  expect(at).toBe(file.length);
  return names;
}

async function pixelsOf(file: Uint8Array): Promise<Buffer> {
  return await sharp(file, { failOn: 'warning' }).raw().toBuffer();
}

/** Rows of a picture of 4 x 3 in RGB, each with its filter. */
const rows = Buffer.from([0, 1, 2, 3, 4].flatMap((filter) => [filter, ...Array(12).fill(filter * 40)]).slice(0, 39));
const packed = deflateSync(rows);
const head = header({ width: 4, height: 3 });
const data = chunk('IDAT', packed);

/** Any plain picture: every size, colour and filter, cut into chunks anywhere, among chunks that nobody needs. */
const anyPlain = fc
  .record({
    ...{ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }) },
    ...{ colour: fc.constantFrom(0, 2, 4, 6), level: fc.integer({ min: 0, max: 9 }) },
    filters: fc.infiniteStream(fc.integer({ min: 0, max: 4 })),
    bytes: fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
    before: fc.array(fc.constantFrom('tEXt', 'zTXt', 'caBX', 'pHYs', 'gAMA', 'sRGB', 'prVt'), { maxLength: 3 }),
    after: fc.array(fc.constantFrom('tEXt', 'tIME', 'iTXt'), { maxLength: 2 }),
    trailer: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ width, height, colour, level, filters, bytes, cuts, before, after, trailer }) => {
    const row = () => [...filters.take(1), ...bytes.take(width * (SAMPLES[colour] ?? 0))];
    const content = deflateSync(Buffer.from(Array.from({ length: height }, row).flat()), { level });
    const edges = [0, ...cuts.map((cut) => Math.floor(cut * content.length)), content.length].sort((a, b) => a - b);
    const parts = edges.slice(1).map((edge, index) => chunk('IDAT', content.subarray(edges[index], edge)));
    const bare = [header({ width, height, colour }), ...parts];
    const extra = (names: readonly string[]) => names.map((name) => chunk(name, 'Comment\0<script>'));
    const [first = Buffer.alloc(0), ...others] = bare;
    return {
      size: { width, height },
      file: png(first, ...extra(before), ...others, ...extra(after), END, trailer),
      bare: png(...bare, END),
      wholeBytes: png(first, ...extra(before), ...others, ...extra(after), END).length,
    };
  });

describe('a plain PNG', () => {
  test('keeps its compressed pixels, and loses everything else', async () => {
    await fc.assert(
      fc.asyncProperty(anyPlain, async ({ size, file, bare }) => {
        const kept = await keepPlainPng(file, limits);
        expect(kept).toEqual({ bytes: bare, ...size });
        const { width, height } = await images.inspect(bare);
        expect({ width, height }).toEqual(size);
      }),
      { numRuns: 300 },
    );
  });

  test('is not kept when a bit of it is wrong, or its end is missing', async () => {
    const places = fc.record({ place: fc.double({ min: 0, max: 0.9999, noNaN: true }), bit: fc.nat(7) });
    await fc.assert(
      fc.asyncProperty(anyPlain, places, async ({ file, wholeBytes }, { place, bit }) => {
        const at = Math.floor(place * wholeBytes);
        const wrong = Buffer.from(file);
        wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << bit), at);
        expect(await keepPlainPng(wrong, limits)).toBeUndefined();
        expect(await keepPlainPng(file.subarray(0, at), limits)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test('may be one of ours or of another encoder', async () => {
    const picture = noise(300, 200);
    const encoders = [
      picture.clone().png(),
      picture.clone().png({ compressionLevel: 0 }),
      picture.clone().png({ adaptiveFiltering: true }),
      picture.clone().ensureAlpha(0.5).png(),
      picture.clone().greyscale().png(),
    ];
    for (const encoder of encoders) {
      const file = await encoder.toBuffer();
      const kept = await keepPlainPng(file, limits);
      expect(new Set(namesOf(kept?.bytes ?? Buffer.alloc(0)))).toEqual(new Set(['IHDR', 'IDAT', 'IEND']));
      expect((await pixelsOf(kept?.bytes ?? Buffer.alloc(0))).equals(await pixelsOf(file))).toBe(true);
    }
  });
});

describe('a PNG that is not plain', () => {
  const half = packed.length / 2;
  const rest = Buffer.concat([packed, Buffer.from('<script>')]);
  const short = deflateSync(rows.subarray(0, 26));
  const long = deflateSync(Buffer.concat([rows, rows.subarray(0, 13)]));
  const odd = Buffer.from(rows);
  odd[13] = 5;
  const cut = packed.subarray(0, packed.length - 1);
  const wrongSum = Buffer.from(packed);
  wrongSum.writeUInt8(wrongSum.readUInt8(packed.length - 1) ^ 1, packed.length - 1);

  test.for([
    ['nothing', Buffer.alloc(0)],
    ['a signature alone', SIGNATURE],
    ['16 bits', png(header({ width: 2, height: 3, bits: 16 }), data, END)],
    ['a palette', png(header({ width: 12, height: 3, colour: 3 }), chunk('PLTE', Buffer.alloc(768)), data, END)],
    ['interlaced rows', png(header({ width: 4, height: 3, interlace: 1 }), data, END)],
    ['no width', png(header({ width: 0, height: 3 }), data, END)],
    ['an animation', png(head, chunk('acTL', Buffer.alloc(8)), data, END)],
    ['metadata of a camera', png(head, chunk('eXIf', 'MM'), data, END)],
    ['a colour profile', png(head, chunk('iCCP', 'x'), data, END)],
    ['a colour that is transparent', png(head, chunk('tRNS', Buffer.alloc(6)), data, END)],
    ['colours of its own', png(head, chunk('cICP', Buffer.of(9, 16, 0, 1)), data, END)],
    ['a chunk that one must understand', png(head, chunk('HDRx', 'x'), data, END)],
    ['a suggested palette', png(head, chunk('PLTE', Buffer.alloc(9)), data, END)],
    ['two headers', png(head, head, data, END)],
    ['no header', png(data, END)],
    ['no pixels', png(head, END)],
    ['a text among the pixels', png(head, chunk('IDAT', packed.subarray(0, half)), chunk('tEXt', 'a\0b'), data, END)],
    ['an end with something in it', png(head, data, chunk('IEND', 'x'))],
    ['no end', png(head, data)],
    ['something behind the compressed pixels', png(head, chunk('IDAT', rest), END)],
    ['a chunk behind the compressed pixels', png(head, data, chunk('IDAT', '<script>'), END)],
    ['too few rows', png(head, chunk('IDAT', short), END)],
    ['a row too many', png(head, chunk('IDAT', long), END)],
    ['an unknown filter', png(head, chunk('IDAT', deflateSync(odd)), END)],
    ['compressed pixels without their end', png(head, chunk('IDAT', cut), END)],
    ['a wrong sum of its pixels', png(head, chunk('IDAT', wrongSum), END)],
    ['what is not compressed', png(head, chunk('IDAT', rows), END)],
    ['a side that is too long', png(header({ width: 5000, height: 1 }), data, END)],
    ['too many pixels', png(header({ width: 2000, height: 2000 }), data, END)],
  ] as const)('is not kept: %s', async ([, file]) => {
    expect(await keepPlainPng(png(head, data, END), limits)).toBeDefined();
    expect(await keepPlainPng(file, limits)).toBeUndefined();
  });

  test('that unpacks to far more than its header says is given up as soon as it is too long', async () => {
    const bomb = deflateSync(Buffer.alloc(2 ** 26));
    expect(await keepPlainPng(png(head, chunk('IDAT', bomb), END), limits)).toBeUndefined();
  });
});

describe('stored as PNG', () => {
  const store = (bytes: Uint8Array) => images.encode({ kind: 'encoded', bytes }, { format: 'png', quality: 90 });

  test('a plain file keeps its pixels bit by bit, and neither text nor trailer', async () => {
    const whole = await noise(60, 40).png().toBuffer();
    const at = SIGNATURE.length + head.length;
    const text = chunk('tEXt', 'prompt\0<script>');
    const dressed = Buffer.concat([whole.subarray(0, at), text, whole.subarray(at), Buffer.from('<html>')]);
    const stored = await store(dressed);
    expect(stored).toMatchObject({ width: 60, height: 40 });
    expect(stored.bytes.includes('<')).toBe(whole.includes('<'));
    expect((await pixelsOf(stored.bytes)).equals(await pixelsOf(whole))).toBe(true);
    expect((await store(dressed)).bytes.equals(stored.bytes)).toBe(true);
  });

  test('any other file is encoded anew, as 8 bits and upright', async () => {
    const deep = await noise(60, 40).toColourspace('rgb16').png().toBuffer();
    const turned = await noise(60, 40).withMetadata({ orientation: 6 }).png().toBuffer();
    const few = await noise(60, 40).png({ palette: true }).toBuffer();
    const laced = await noise(60, 40).png({ progressive: true }).toBuffer();
    for (const file of [deep, few, laced]) {
      const { bytes } = await store(file);
      expect(await sharp(bytes).metadata()).toMatchObject({
        width: 60,
        height: 40,
        depth: 'uchar',
        isProgressive: false,
      });
      expect(bytes.equals(file)).toBe(false);
    }
    expect(await store(turned)).toMatchObject({ width: 40, height: 60 });
  });
});
