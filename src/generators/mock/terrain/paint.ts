import type { Rgb } from './colours.ts';

/** A colour under way, in place of one object for each pixel: red, green, blue (0 to 255), and opacity (0 to 1). */
export type Paint = Float64Array;

/** A paint to reuse. */
export function createPaint(): Paint {
  return new Float64Array(4);
}

/** Sets the colour and the opacity. */
export function setPaint(paint: Paint, colour: Rgb, opacity: number, brightness = 1): void {
  paint[0] = colour[0] * brightness;
  paint[1] = colour[1] * brightness;
  paint[2] = colour[2] * brightness;
  paint[3] = opacity;
}

/** Mixes a colour in; `amount` 0 leaves the paint as it is. */
export function mixIn(paint: Paint, colour: Rgb, amount: number): void {
  paint[0] = (paint[0] ?? 0) + (colour[0] - (paint[0] ?? 0)) * amount;
  paint[1] = (paint[1] ?? 0) + (colour[1] - (paint[1] ?? 0)) * amount;
  paint[2] = (paint[2] ?? 0) + (colour[2] - (paint[2] ?? 0)) * amount;
}

/** Mixes another paint in by its opacity. */
export function mixPaint(paint: Paint, over: Paint): void {
  const amount = over[3] ?? 0;
  paint[0] = (paint[0] ?? 0) + ((over[0] ?? 0) - (paint[0] ?? 0)) * amount;
  paint[1] = (paint[1] ?? 0) + ((over[1] ?? 0) - (paint[1] ?? 0)) * amount;
  paint[2] = (paint[2] ?? 0) + ((over[2] ?? 0) - (paint[2] ?? 0)) * amount;
}

/** Makes the colour lighter or darker. */
export function scalePaint(paint: Paint, factor: number): void {
  paint[0] = (paint[0] ?? 0) * factor;
  paint[1] = (paint[1] ?? 0) * factor;
  paint[2] = (paint[2] ?? 0) * factor;
}
