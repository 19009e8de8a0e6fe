import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import type { Sharp } from 'sharp';
import sharp from 'sharp';
import { AppError } from '../errors.ts';
import type { RawPixels } from '../generators/generator.ts';
import type { ImageFormat } from '../messages/fields.ts';
import { MAX_SIDE } from '../messages/fields.ts';
import type { Images, InspectedImage, Overlay, TextOptions } from './images.ts';
import { printable, toMarkup, visiblePart } from './markup.ts';
import { centredPart, clip, crop } from './pixels.ts';
import { keepPlainPng } from './png-chunks.ts';

// Formats that nobody needs are never parsed, whatever a file claims to be.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'],
});
// Each image is read once, so a cache would only hold memory.
sharp.cache(false);

const FONT_FILE = join(dirname(findPackageJSON(import.meta.url) ?? ''), 'assets', 'fonts', 'DejaVuSans.ttf');
/** Longest side of a JPEG; libvips cannot scale PNGs that are much longer. */
const LONGEST_SIDE = 65_535;
/** Limits of what a provider sends. */
const GENERATED = { maxPixels: MAX_SIDE ** 2, maxSide: LONGEST_SIDE };
const JPEG_END = Buffer.of(0xff, 0xd9);
const BLACK = { r: 0, g: 0, b: 0 };

/** Images by sharp, within limits for callers' files. All heavy work runs on libuv's threads. */
export function createImages(limits: { readonly maxPixels: number; readonly maxBytes: number }): Images {
  /** Runs `work` on a caller's image; what it throws becomes `invalid_image`. */
  async function reading<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const allowed = `PNG, JPEG and WebP images of at most ${limits.maxPixels} pixels and ${limits.maxBytes} bytes`;
      const message = `The image ${problemOf(error)}. Allowed are ${allowed}.`;
      throw new AppError('invalid_image', message, { cause: error });
    }
  }

  return {
    async inspect(bytes) {
      return await reading(async () => {
        if (bytes.length > limits.maxBytes) throw new ImageProblem('has too many bytes');
        const header = await readHeader(bytes, limits.maxPixels);
        await readAll(bytes, limits.maxPixels);
        return header;
      });
    },

    async encode(content, { format, quality }) {
      try {
        const kept =
          content.kind === 'encoded' && format === 'png' ? await keepPlainPng(content.bytes, GENERATED) : undefined;
        if (kept !== undefined) return kept;
        const image = content.kind === 'raw' ? fromPixels(content.pixels) : open(content.bytes, GENERATED.maxPixels);
        const { width, height } =
          content.kind === 'raw' ? content.pixels : await readHeader(content.bytes, GENERATED.maxPixels);
        const large = width * height > LARGE_PIXELS;
        const { data, info } = await formatted(image, format, quality, large).toBuffer({ resolveWithObject: true });
        return { bytes: data, width: info.width, height: info.height };
      } catch (error) {
        const message = 'The generator returned an image that cannot be used.';
        // What a provider sent is paid, and another try would pay again; what we drew costs nothing.
        throw new AppError(content.kind === 'raw' ? 'generator_failed' : 'invalid_output', message, { cause: error });
      }
    },

    async cover(bytes, size) {
      return await reading(async () => {
        const part = centredPart(await readHeader(bytes, limits.maxPixels), size);
        // Cropped first: scaled first, a very long image would outgrow libvips's coordinates.
        const image = open(bytes, limits.maxPixels)
          .extract(part)
          .resize({ ...size, fit: 'fill' });
        return await toPixels(rgb(image));
      });
    },

    async decode(bytes) {
      return await reading(async () => {
        await readHeader(bytes, limits.maxPixels);
        return await toPixels(open(bytes, limits.maxPixels).removeAlpha().toColourspace('srgb'));
      });
    },

    blank({ width, height }, { r, g, b }) {
      return { data: Buffer.alloc(width * height * 3, Buffer.of(r, g, b)), width, height, channels: 3 };
    },

    async text(text, options) {
      const drawn = await drawText(visiblePart(printable(text), options), options);
      const width = Math.min(drawn.width, options.width);
      const height = Math.min(drawn.height, options.height);
      return crop(drawn, { left: 0, top: 0, width, height });
    },

    compose,

    async blend(under, over, amount) {
      const veil = await toPixels(rgb(fromPixels(over)).ensureAlpha(amount));
      return await compose(under, [{ pixels: veil, left: 0, top: 0 }]);
    },

    async darken(pixels, amount) {
      return await toPixels(rgb(fromPixels(pixels)).linear(1 - amount, 0));
    },

    async shrink(pixels, longestSide) {
      const box = { width: longestSide, height: longestSide };
      return await toPixels(fromPixels(pixels).resize({ ...box, fit: 'inside', withoutEnlargement: true }));
    },
  };
}

/** Effort of the slow encoders: beyond these an image takes seconds for a few per cent of its size. */
const WEBP_EFFORT = 2;
const AVIF_EFFORT = 2;
/** From this size on, AVIF gets no effort at all: it would take tens of seconds else. */
const LARGE_PIXELS = 2 ** 21;

function formatted(image: Sharp, format: ImageFormat, quality: number, large: boolean): Sharp {
  switch (format) {
    case 'png':
      return image.png();
    case 'jpeg':
      return image.flatten({ background: BLACK }).jpeg({ quality });
    case 'webp':
      return image.webp({ quality, effort: WEBP_EFFORT });
    case 'avif':
      return image.avif({ quality, effort: large ? 0 : AVIF_EFFORT });
  }
}

/** A reason of ours to refuse an image, phrased to follow "The image". */
class ImageProblem extends Error {}

function problemOf(error: unknown): string {
  if (error instanceof ImageProblem) return error.message;
  const message = error instanceof Error ? error.message : '';
  if (/exceeds pixel limit/.test(message)) return 'has too many pixels';
  if (/unsupported image format/.test(message)) return 'is no PNG, JPEG or WebP file';
  return 'is damaged or incomplete';
}

/**
 * An encoded image, upright. `warning` is the only level that finds every truncated file: a JPEG that ends early but
 * properly, or whose data is broken, fails at no other, because libjpeg fills the rest with grey and only warns.
 */
function open(bytes: Uint8Array, maxPixels: number): Sharp {
  return sharp(bytes, { failOn: 'warning', limitInputPixels: maxPixels, autoOrient: true });
}

/** What the first bytes tell, and whether it is acceptable; bombs fail here, before anything is decoded. */
async function readHeader(bytes: Uint8Array, maxPixels: number): Promise<InspectedImage> {
  if (bytes.length === 0) throw new ImageProblem('is empty');
  const { format, pages = 1, autoOrient } = await open(bytes, maxPixels).metadata();
  const { width, height } = autoOrient;
  if (format !== 'png' && format !== 'jpeg' && format !== 'webp') {
    throw new ImageProblem('is no PNG, JPEG or WebP file');
  }
  if (pages > 1) throw new ImageProblem('is an animation');
  if (Math.max(width, height) > LONGEST_SIDE) throw new ImageProblem(`has a side of over ${LONGEST_SIDE} pixels`);
  if (!hasEnd(bytes, format)) throw new ImageProblem('is damaged or incomplete');
  return { format, width, height };
}

/** Whether a file has its end; the decoders do not always look for it once they have all rows. */
function hasEnd(bytes: Uint8Array, format: InspectedImage['format']): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === 'jpeg') return buffer.includes(JPEG_END);
  // Four bytes of checksum follow the name of the last chunk.
  if (format === 'png') return buffer.subarray(0, -4).includes('IEND');
  return true;
}

/** Reads every pixel and keeps almost none: scaling down streams, where other ways would hold the whole image. */
async function readAll(bytes: Uint8Array, maxPixels: number): Promise<void> {
  await open(bytes, maxPixels).resize({ width: 8, height: 8, fit: 'fill' }).raw().toBuffer();
}

function layout({ width, height, channels }: RawPixels) {
  return { width, height, channels };
}

function fromPixels(pixels: RawPixels): Sharp {
  return sharp(pixels.data, { raw: layout(pixels), limitInputPixels: false });
}

/** Three channels; what is transparent lies on black. */
function rgb(image: Sharp): Sharp {
  return image.flatten({ background: BLACK }).toColourspace('srgb');
}

async function toPixels(image: Sharp): Promise<RawPixels> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels !== 3 && channels !== 4) throw new Error(`expected 3 or 4 channels, not ${channels}`);
  return { data, width, height, channels };
}

async function compose(base: RawPixels, overlays: readonly Overlay[]): Promise<RawPixels> {
  const clipped = overlays.flatMap((overlay) => clip(overlay, base) ?? []);
  const layers = clipped.map(({ pixels, left, top }) => ({
    input: Buffer.from(pixels.data.buffer, pixels.data.byteOffset, pixels.data.byteLength),
    raw: layout(pixels),
    left,
    top,
  }));
  return await toPixels(rgb(fromPixels(base)).composite(layers).removeAlpha());
}

async function drawText(text: string, options: TextOptions): Promise<RawPixels> {
  const empty: RawPixels = { data: new Uint8Array(4), width: 1, height: 1, channels: 4 };
  if (text === '') return empty;
  try {
    const image = sharp({
      text: {
        text: toMarkup(text, options.colour),
        font: `DejaVu Sans ${options.sizePx}`,
        fontfile: FONT_FILE,
        width: options.width,
        align: options.align ?? 'left',
        wrap: 'word-char',
        // At 72 dpi a point is a pixel.
        dpi: 72,
        rgba: true,
      },
    });
    return await toPixels(image);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (/no text to render/.test(message)) return empty;
    // Taller than cairo can draw: letters can be made to stack, so no estimate of ours is safe.
    if (/too big/.test(message)) return await drawText(text.slice(0, text.length / 2), options);
    throw error;
  }
}
