import type { RawPixels } from '../generators/generator.ts';
import type { ImageFormat } from '../messages/fields.ts';

/** Width and height in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How a text is drawn. */
export interface TextOptions {
  /** The box that the text must fit in, in pixels. Longer lines are wrapped, lines below its edge are cut. */
  readonly width: number;
  readonly height: number;
  /** Size of the font, in pixels. */
  readonly sizePx: number;
  /** As `#rrggbb`. */
  readonly colour: string;
  /** Default: `left`. */
  readonly align?: 'left' | 'centre';
}

/** Pixels placed on others: `left` and `top` may be negative or reach beyond the base; what does is cut. */
export interface Overlay {
  readonly pixels: RawPixels;
  readonly left: number;
  readonly top: number;
}

/** Operations on pixels, for generators that draw on the machine itself. */
export interface Drawing {
  /** An encoded image, upright, scaled to fill `size`, its overhang cut, on black. RGB. Throws `invalid_image`. */
  cover(bytes: Uint8Array, size: Size): Promise<RawPixels>;
  /** An encoded image, upright, in its own size; what is transparent keeps its colour. RGB. Throws `invalid_image`. */
  decode(bytes: Uint8Array): Promise<RawPixels>;
  /** One colour, channels 0 to 255. RGB. */
  blank(size: Size, colour: { readonly r: number; readonly g: number; readonly b: number }): RawPixels;
  /** Text on transparent ground, no larger than it needs to be and at most `width` x `height`. RGBA. */
  text(text: string, options: TextOptions): Promise<RawPixels>;
  /** The base with the overlays on it, in their order. RGB. */
  compose(base: RawPixels, overlays: readonly Overlay[]): Promise<RawPixels>;
  /** A mixture of two images of equal size; `amount` 0 is `under`, 1 is `over`. RGB. */
  blend(under: RawPixels, over: RawPixels, amount: number): Promise<RawPixels>;
  /** `amount` 0 leaves the pixels as they are, 1 makes them black. RGB. */
  darken(pixels: RawPixels, amount: number): Promise<RawPixels>;
  /** Scaled down, if need be, so that no side is longer than `longestSide` pixels. */
  shrink(pixels: RawPixels, longestSide: number): Promise<RawPixels>;
}

/** A finished image: pixels, or an encoded file. */
export type ImageContent =
  | { readonly kind: 'raw'; readonly pixels: RawPixels }
  | { readonly kind: 'encoded'; readonly bytes: Uint8Array };

/** What `inspect` found. */
export interface InspectedImage extends Size {
  readonly format: 'png' | 'jpeg' | 'webp';
}

/** An encoded file with its size in pixels. */
export interface EncodedImage extends Size {
  readonly bytes: Buffer;
}

/** Reading and writing of image files. */
export interface Images extends Drawing {
  /** Decodes every pixel of a caller's image. Throws `invalid_image`, saying what is wrong and what is allowed. */
  inspect(bytes: Uint8Array): Promise<InspectedImage>;
  /**
   * The content as a file of `format`, without metadata; equal content gives equal bytes. `quality` (1–100) is for the
   * lossy formats. Encoded content is decoded to its last pixel and encoded anew; only the compressed pixels of a plain
   * PNG that stays one are kept as they are, in a file that holds nothing else. Throws `invalid_output` when it cannot
   * be used, `generator_failed` when pixels cannot.
   */
  encode(
    content: ImageContent,
    options: { readonly format: ImageFormat; readonly quality: number },
  ): Promise<EncodedImage>;
}
