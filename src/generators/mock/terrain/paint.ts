import type { Rgb } from './colours.ts';

/** A colour under way, one object changed again and again: 0 to 255 each, and how far it covers what lies below, 0 to 1. */
export interface Paint {
  red: number;
  green: number;
  blue: number;
  opacity: number;
}

/** A paint to reuse. */
export function createPaint(): Paint {
  return { red: 0, green: 0, blue: 0, opacity: 0 };
}

/** Sets the colour and the opacity. */
export function setPaint(paint: Paint, colour: Rgb, opacity: number, brightness = 1): void {
  paint.red = colour[0] * brightness;
  paint.green = colour[1] * brightness;
  paint.blue = colour[2] * brightness;
  paint.opacity = opacity;
}

/** Mixes a colour in; `amount` 0 leaves the paint as it is. */
export function mixIn(paint: Paint, colour: Rgb, amount: number): void {
  paint.red += (colour[0] - paint.red) * amount;
  paint.green += (colour[1] - paint.green) * amount;
  paint.blue += (colour[2] - paint.blue) * amount;
}

/** Mixes another paint in by its opacity. */
export function mixPaint(paint: Paint, over: Paint): void {
  paint.red += (over.red - paint.red) * over.opacity;
  paint.green += (over.green - paint.green) * over.opacity;
  paint.blue += (over.blue - paint.blue) * over.opacity;
}

/** Makes the colour lighter or darker. */
export function scalePaint(paint: Paint, factor: number): void {
  paint.red *= factor;
  paint.green *= factor;
  paint.blue *= factor;
}
