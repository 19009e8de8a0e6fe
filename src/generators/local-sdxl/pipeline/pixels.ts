import type { RawPixels } from '../../generator.ts';
import type { Planes } from '../networks/vae.ts';
import { roundHalfEven } from '../schedulers/spacing.ts';

const { fround } = Math;
const COLOURS = 3;

/** RGB as planes of numbers: 0 and 255 become `low` and `high`. Repeated for `rows` rows of a batch. */
export function fromPixels(pixels: RawPixels, [low, high]: readonly [number, number], rows: number): Planes {
  const { data, width, height, channels } = pixels;
  const plane = width * height;
  const values = new Float32Array(rows * COLOURS * plane);
  for (let colour = 0; colour < COLOURS; colour += 1) {
    for (let i = 0; i < plane; i += 1) {
      const share = fround((data[i * channels + colour] ?? 0) / 255);
      values[colour * plane + i] = low + share * (high - low);
    }
  }
  for (let row = 1; row < rows; row += 1) values.copyWithin(row * COLOURS * plane, 0, COLOURS * plane);
  return { data: values, batch: rows, channels: COLOURS, height, width };
}

/** Planes from −1 to 1 as RGB, with diffusers' clamp and NumPy's rounding; undefined when one is not a number. */
export function toPixels({ data, height, width }: Planes): RawPixels | undefined {
  const plane = width * height;
  const bytes = new Uint8Array(plane * COLOURS);
  for (let colour = 0; colour < COLOURS; colour += 1) {
    for (let i = 0; i < plane; i += 1) {
      const value = data[colour * plane + i] ?? 0;
      if (Number.isNaN(value)) return undefined;
      const share = Math.min(Math.max(fround(fround(value * 0.5) + 0.5), 0), 1);
      bytes[i * COLOURS + colour] = roundHalfEven(fround(share * 255));
    }
  }
  return { data: bytes, width, height, channels: COLOURS };
}
