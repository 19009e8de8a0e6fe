import type { RawPixels } from '../generators/generator.ts';
import type { Overlay, Size } from './images.ts';

/** An area of an image, in pixels. */
export interface Area extends Size {
  readonly left: number;
  readonly top: number;
}

/** A copy of a part of an image; `area` lies within it. */
export function crop(pixels: RawPixels, area: Area): RawPixels {
  const { width, height } = area;
  const { channels } = pixels;
  const data = new Uint8Array(width * height * channels);
  for (let row = 0; row < height; row++) {
    const start = ((area.top + row) * pixels.width + area.left) * channels;
    data.set(pixels.data.subarray(start, start + width * channels), row * width * channels);
  }
  return { data, width, height, channels };
}

/** An overlay without what reaches beyond the base, or nothing when it lies beside it. */
export function clip({ pixels, left, top }: Overlay, base: Size): Overlay | undefined {
  const area = { left: Math.max(0, -left), top: Math.max(0, -top) };
  const width = Math.min(pixels.width - area.left, base.width - Math.max(0, left));
  const height = Math.min(pixels.height - area.top, base.height - Math.max(0, top));
  if (width <= 0 || height <= 0) return undefined;
  const whole = width === pixels.width && height === pixels.height;
  return {
    pixels: whole ? pixels : crop(pixels, { ...area, width, height }),
    left: Math.max(0, left),
    top: Math.max(0, top),
  };
}

/** The largest centred part of an image that has the proportions of `target`. */
export function centredPart(image: Size, target: Size): Area {
  const width = Math.max(1, Math.min(image.width, Math.round((image.height * target.width) / target.height)));
  const height = Math.max(1, Math.min(image.height, Math.round((image.width * target.height) / target.width)));
  return {
    left: Math.floor((image.width - width) / 2),
    top: Math.floor((image.height - height) / 2),
    width,
    height,
  };
}
