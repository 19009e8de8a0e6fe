import type { GeneratorSizes } from '../generator.ts';

/** Width and height in pixels. */
interface Size {
  readonly width: number;
  readonly height: number;
}

/** Which sizes a model draws. */
interface ModelSizes {
  readonly sizes: GeneratorSizes;
  /** The nearest size that the model draws, for a size within `sizes`. */
  nearest(wanted: Size): Size;
}

const DEFAULT = { width: 1024, height: 1024 };
const FIXED: readonly Size[] = [DEFAULT, { width: 1536, height: 1024 }, { width: 1024, height: 1536 }];

/** What GPT Image 2 and its successors draw: every size within these. */
const FREE = { step: 16, longest: 3840, ratio: 3, leastPixels: 655_360, mostPixels: 8_294_400 } as const;

/** The first GPT Image models draw three sizes. */
const threeSizes: ModelSizes = {
  sizes: { default: DEFAULT, min: 1024, max: 1536, multipleOf: 512 },
  nearest(wanted) {
    const [first = DEFAULT] = FIXED.toSorted((a, b) => strangeness(a, wanted) - strangeness(b, wanted));
    return first;
  },
};

/** 480 is the shortest side that is part of any size they draw: 480 × 1440. */
const freeSizes: ModelSizes = {
  sizes: { default: DEFAULT, min: 480, max: FREE.longest, multipleOf: FREE.step },
  nearest: nearestFree,
};

/** A compatible server's model: what it refuses, it will say. */
const unknownSizes: ModelSizes = {
  sizes: { default: DEFAULT, min: 64, max: 2048, multipleOf: 8 },
  nearest: (wanted) => wanted,
};

/** The sizes of a model, by its name; snapshots have the name of their model with a date behind it. */
export function sizesOf(model: string): ModelSizes {
  if (/^(gpt-image-1\b|chatgpt-image)/.test(model)) return threeSizes;
  return /^gpt-image-/.test(model) ? freeSizes : unknownSizes;
}

/** How far two proportions are apart. */
function strangeness(size: Size, wanted: Size): number {
  return Math.abs(Math.log(size.width / size.height) - Math.log(wanted.width / wanted.height));
}

/** Keeps the proportion as far as it may, then the number of pixels. */
function nearestFree({ width, height }: Size): Size {
  const pixels = Math.min(FREE.mostPixels, Math.max(FREE.leastPixels, width * height));
  const ratio = Math.min(FREE.ratio, Math.max(width, height) / Math.min(width, height));
  let long = Math.min(FREE.longest, toStep(Math.sqrt(pixels * ratio)));
  let short = toStep(long / ratio);
  while (long * short > FREE.mostPixels) long -= FREE.step;
  while (long * short < FREE.leastPixels || long > FREE.ratio * short) short += FREE.step;
  return width >= height ? { width: long, height: short } : { width: short, height: long };
}

function toStep(side: number): number {
  return Math.round(side / FREE.step) * FREE.step;
}
