/** An 8-bit image: rows of pixels, each of `channels` interleaved values. */
export interface Raster {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Lanczos' window reaches three lobes. */
const LOBES = 3;
/** Bits after the point of Pillow's weights. */
const PRECISION = 32 - 8 - 2;

/** The weights of the pixels that make up each pixel of the result, in Pillow's fixed point. */
interface Window {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` per pixel of the result. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Pillow's `Image.resize(size, LANCZOS)` on 8-bit data, bit for bit (after its `Resample.c`): the window widens when
 * shrinking, rows come before columns with 8 bits in between, and weights are fixed-point numbers. Other Lanczos
 * resizers differ from it in the last bits.
 */
export function resizeLanczos(image: Raster, width: number, height: number): Raster {
  const wide = width === image.width ? image : resizeRows(image, width);
  return height === image.height ? wide : resizeColumns(wide, height);
}

function resizeRows(image: Raster, width: number): Raster {
  const { data: from, height, channels } = image;
  const { first, count, weights, stride } = windowOf(image.width, width);
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const start = (y * image.width + (first[x] ?? 0)) * channels;
      for (let channel = 0; channel < channels; channel += 1, at += 1) {
        let sum = 1 << (PRECISION - 1);
        for (let k = 0; k < (count[x] ?? 0); k += 1) {
          sum += (from[start + k * channels + channel] ?? 0) * (weights[x * stride + k] ?? 0);
        }
        data[at] = clip(sum);
      }
    }
  }
  return { data, width, height, channels };
}

function resizeColumns(image: Raster, height: number): Raster {
  const { data: from, width, channels } = image;
  const { first, count, weights, stride } = windowOf(image.height, height);
  const row = width * channels;
  const data = new Uint8Array(row * height);
  for (let y = 0, at = 0; y < height; y += 1) {
    const start = (first[y] ?? 0) * row;
    for (let x = 0; x < row; x += 1, at += 1) {
      let sum = 1 << (PRECISION - 1);
      for (let k = 0; k < (count[y] ?? 0); k += 1)
        sum += (from[start + k * row + x] ?? 0) * (weights[y * stride + k] ?? 0);
      data[at] = clip(sum);
    }
  }
  return { data, width, height, channels };
}

function windowOf(from: number, to: number): Window {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const support = LOBES * widening;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < to; i += 1) {
    const centre = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const length = Math.min(Math.trunc(centre + support + 0.5), from) - start;
    let total = 0;
    for (let k = 0; k < length; k += 1) {
      const weight = lanczos((k + start - centre + 0.5) * (1 / widening));
      exact[k] = weight;
      total += weight;
    }
    for (let k = 0; k < length; k += 1) {
      const share = (exact[k] ?? 0) / (total === 0 ? 1 : total);
      weights[i * stride + k] = Math.trunc((share < 0 ? -0.5 : 0.5) + share * (1 << PRECISION));
    }
    first[i] = start;
    count[i] = length;
  }
  return { first, count, weights, stride };
}

function lanczos(x: number): number {
  return -LOBES <= x && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  return Math.sin(x * Math.PI) / (x * Math.PI);
}

function clip(sum: number): number {
  return Math.min(Math.max(sum >> PRECISION, 0), 255);
}
