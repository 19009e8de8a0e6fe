import { constants, crc32, createInflate } from 'node:zlib';
import type { EncodedImage } from './images.ts';

const SIGNATURE = Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Length, name and CRC of a chunk. */
const FRAME_BYTES = 12;
const IHDR_BYTES = 13;
/** Samples of a pixel by colour type: grey, RGB, grey with alpha, RGBA. A palette is not among them. */
const SAMPLES: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [2, 3],
  [4, 2],
  [6, 4],
]);
/** The last of the ways to filter a row. */
const LAST_FILTER = 4;
/** Chunks that decide how the pixels look, or that there are more: what they say must be applied, not dropped. */
const MEANINGFUL: ReadonlySet<string> = new Set(['acTL', 'cICP', 'cLLI', 'eXIf', 'iCCP', 'mDCV', 'tRNS']);
/** How much is unpacked at a time. */
const PART_BYTES = 2 ** 18;

/** The largest images that are looked into. */
export interface PngLimits {
  readonly maxPixels: number;
  /** Of a side, in pixels. */
  readonly maxSide: number;
}

/** What a plain file holds. */
interface PlainPng {
  readonly width: number;
  readonly height: number;
  /** Of a row of pixels, with the byte that says how it is filtered. */
  readonly rowBytes: number;
  /** The chunk `IHDR`, whole. */
  readonly header: Buffer;
  /** The chunks `IDAT`, whole, and what is in them, put together. */
  readonly data: readonly Buffer[];
  readonly packed: Buffer;
  /** The chunk `IEND`, whole. */
  readonly end: Buffer;
}

/**
 * A PNG file with its compressed pixels as they are, and nothing else of what it held: no texts, no metadata, nothing
 * behind its end. Undefined unless the file is sound in every bit, every pixel is there and nothing more, and it is as plain
 * as our own: 8 bits, grey or RGB, with or without alpha, not interlaced, one picture, upright, without a colour profile.
 */
export async function keepPlainPng(bytes: Uint8Array, limits: PngLimits): Promise<EncodedImage | undefined> {
  const png = readPlainPng(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), limits);
  if (png === undefined || !(await hasAllPixels(png))) return undefined;
  const { width, height, header, data, end } = png;
  return { bytes: Buffer.concat([SIGNATURE, header, ...data, end]), width, height };
}

/** Undefined for everything that is not plain and sound, as far as can be seen without unpacking. */
function readPlainPng(file: Buffer, { maxPixels, maxSide }: PngLimits): PlainPng | undefined {
  const chunks = readChunks(file);
  const [header, ...others] = chunks ?? [];
  const end = others.pop();
  if (header?.name !== 'IHDR' || end?.name !== 'IEND' || end.content.length > 0) return undefined;
  const size = readHeader(header.content);
  if (size === undefined || size.width * size.height > maxPixels) return undefined;
  if (Math.max(size.width, size.height) > maxSide) return undefined;
  const first = others.findIndex(({ name }) => name === 'IDAT');
  const last = others.findLastIndex(({ name }) => name === 'IDAT');
  const data = others.slice(first, last + 1);
  if (first === -1 || data.some(({ name }) => name !== 'IDAT')) return undefined;
  if (!others.every(({ name }) => name === 'IDAT' || isMeaningless(name))) return undefined;
  const packed = Buffer.concat(data.map(({ content }) => content));
  return { ...size, header: header.whole, data: data.map(({ whole }) => whole), packed, end: end.whole };
}

/** What may be left out: names with a small first letter are of chunks that nobody needs to understand. */
function isMeaningless(name: string): boolean {
  return /^[a-z][A-Za-z]{3}$/.test(name) && !MEANINGFUL.has(name);
}

interface Chunk {
  readonly name: string;
  readonly content: Buffer;
  readonly whole: Buffer;
}

/** All chunks to the first `IEND`; undefined when one of them is cut or damaged. */
function readChunks(file: Buffer): Chunk[] | undefined {
  if (!file.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return undefined;
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE.length; at + FRAME_BYTES <= file.length; ) {
    const length = file.readUInt32BE(at);
    const whole = file.subarray(at, at + FRAME_BYTES + length);
    if (whole.length < FRAME_BYTES + length) return undefined;
    if (crc32(whole.subarray(4, -4)) !== whole.readUInt32BE(whole.length - 4)) return undefined;
    const name = whole.toString('latin1', 4, 8);
    chunks.push({ name, content: whole.subarray(8, -4), whole });
    if (name === 'IEND') return chunks;
    at += whole.length;
  }
  return undefined;
}

function readHeader(content: Buffer): Pick<PlainPng, 'width' | 'height' | 'rowBytes'> | undefined {
  if (content.length !== IHDR_BYTES) return undefined;
  const [width, height] = [content.readUInt32BE(0), content.readUInt32BE(4)];
  const [bits, colour = -1, compression, filter, interlace] = content.subarray(8);
  const samples = SAMPLES.get(colour);
  if (width === 0 || height === 0 || samples === undefined) return undefined;
  if (bits !== 8 || compression !== 0 || filter !== 0 || interlace !== 0) return undefined;
  return { width, height, rowBytes: 1 + width * samples };
}

/** Unpacks everything, on libuv's threads, and looks at what a decoder could stumble over. */
async function hasAllPixels({ height, rowBytes, packed }: PlainPng): Promise<boolean> {
  const wanted = height * rowBytes;
  const inflate = createInflate({ chunkSize: Math.max(constants.Z_MIN_CHUNK, Math.min(wanted + 1, PART_BYTES)) });
  inflate.end(packed);
  let seen = 0;
  try {
    for await (const part of inflate) {
      if (seen + part.length > wanted || !hasKnownFilters(part, (rowBytes - (seen % rowBytes)) % rowBytes, rowBytes)) {
        return false;
      }
      seen += part.length;
    }
  } catch {
    // Not zlib's format, cut, or with a wrong checksum: whoever reads it with the image library says what that means.
    return false;
  }
  // What follows the end of the compressed data is no part of the picture.
  return seen === wanted && inflate.bytesWritten === packed.length;
}

/** `at` is where the first row begins that begins in this part. */
function hasKnownFilters(part: Buffer, at: number, rowBytes: number): boolean {
  for (let start = at; start < part.length; start += rowBytes) if ((part[start] ?? 0) > LAST_FILTER) return false;
  return true;
}
