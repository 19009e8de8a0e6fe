import type { Size } from './grid.ts';

/** Smaller pictures are drawn at least this large, because streets and lines need pixels. */
const LEAST_DRAWN = 512;
const MOST_TIMES = 4;

/** The size that a picture is drawn at, a whole multiple of its own. */
export function drawnSize({ width, height }: Size): Size {
  const times = Math.min(MOST_TIMES, Math.max(1, Math.ceil(LEAST_DRAWN / Math.max(width, height))));
  return { width: width * times, height: height * times };
}

/** Means of squares of pixels; `from` is a whole multiple of `to`. */
export function shrinkTo(data: Uint8Array<ArrayBuffer>, from: Size, to: Size): Uint8Array<ArrayBuffer> {
  const times = from.width / to.width;
  if (times === 1) return data;
  const result = new Uint8Array(to.width * to.height * 3);
  const share = 1 / (times * times);
  for (let y = 0, at = 0; y < to.height; y += 1) {
    for (let x = 0; x < to.width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1, at += 1) {
        let sum = 0;
        for (let dy = 0; dy < times; dy += 1) {
          let pixel = ((y * times + dy) * from.width + x * times) * 3 + channel;
          for (let dx = 0; dx < times; dx += 1, pixel += 3) sum += data[pixel] ?? 0;
        }
        result[at] = sum * share + 0.5;
      }
    }
  }
  return result;
}
