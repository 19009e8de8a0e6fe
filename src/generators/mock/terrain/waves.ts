import type { NoiseFunction2D } from 'simplex-noise';
import type { Size } from './grid.ts';

/** A wave that is worked out at this many places each, at least, looks the same when mixed between them. */
const PLACES_PER_WAVE = 5;

/** Noise of one wave length over a picture, row by row. */
export interface Wave {
  /** Periods across the picture's longer side. */
  readonly frequency: number;
  /**
   * The noise of row `y`, one value for each pixel that is `seen`; always the same array, changed at each call. Faster
   * when rows come in order.
   */
  row(y: number, seen: Uint8Array): Float32Array;
}

/** Noise of a picture: of short waves at each pixel, of long ones at every second, fourth … place, and mixed between. */
export function createWave(noise: NoiseFunction2D, frequency: number, { width, height }: Size): Wave {
  const longer = Math.max(width, height);
  const stride = 2 ** Math.max(0, Math.floor(Math.log2(longer / frequency / PLACES_PER_WAVE)));
  const scale = frequency / longer;
  const places = Math.ceil(width / stride) + 1;
  let upper = new Float32Array(places);
  let lower = new Float32Array(places);
  let drawn = Number.NaN;
  const pixels = new Float32Array(width);

  function fill(line: Float32Array, at: number): void {
    const v = (at * stride + 0.5 - height / 2) * scale;
    for (let place = 0; place < places; place += 1) {
      line[place] = noise((place * stride + 0.5 - width / 2) * scale, v);
    }
  }

  function reach(line: number): void {
    if (line === drawn) return;
    [upper, lower] = [lower, upper];
    if (line !== drawn + 1) fill(upper, line);
    fill(lower, line + 1);
    drawn = line;
  }

  return {
    frequency,
    row(y, seen) {
      if (stride === 1) {
        const v = (y + 0.5 - height / 2) * scale;
        for (let x = 0; x < width; x += 1) if (seen[x] === 1) pixels[x] = noise((x + 0.5 - width / 2) * scale, v);
        return pixels;
      }
      const line = Math.floor(y / stride);
      reach(line);
      const down = y / stride - line;
      for (let x = 0, place = 0; x < width; place += 1) {
        const left = (upper[place] ?? 0) * (1 - down) + (lower[place] ?? 0) * down;
        const right = (upper[place + 1] ?? 0) * (1 - down) + (lower[place + 1] ?? 0) * down;
        const step = (right - left) / stride;
        for (let part = 0; part < stride && x < width; part += 1, x += 1) pixels[x] = left + step * part;
      }
      return pixels;
    },
  };
}
