import type { Drawing, Overlay } from '../../store/images.ts';
import type { RawPixels, Work } from '../generator.ts';
import type { CaptionMetrics } from './caption.ts';
import { captionMetrics, detailsBlock, promptBlock } from './caption.ts';
import type { MockStyle } from './mock-style.ts';
import type { Colour } from './seed-colour.ts';
import { colourOf } from './seed-colour.ts';

/** How much of a reference image is left when the work does not say. */
const DEFAULT_STRENGTH = 0.5;
/** Keeps pictures behind the text from outshining it, yet recognisable. */
const PICTURE_DARKENING = 0.35;
/** Nearly opaque near-black, so that the text stands out on white too. */
const PANEL: readonly [number, number, number, number] = [12, 12, 16, 208];
const PROMPT_COLOUR = '#ffffff';
const DETAILS_COLOUR = '#d5d9e2';

/** What the style is built from. */
export interface PlaceholderStyleOptions {
  readonly drawing: Drawing;
}

/** Draws the request itself: its text over its input images, framed in a colour of its seed. */
export function createPlaceholderStyle({ drawing }: PlaceholderStyleOptions): MockStyle {
  return {
    async start() {},

    async draw(work, seed) {
      const colour = colourOf(seed, work.era, work.biome);
      const metrics = captionMetrics(work);
      const background = await drawBackground(work, colour);
      const caption = await drawCaption(work, seed, metrics);
      return await drawing.compose(background, [...caption, ...drawFrame(work, colour, metrics.frame)]);
    },
  };

  /** The depth map, and the reference image over it as far as `strength` leaves it; else the seed's colour. */
  async function drawBackground(work: Work, colour: Colour): Promise<RawPixels> {
    const { depthMap, referenceImage, strength = DEFAULT_STRENGTH } = work;
    const ground = depthMap === undefined ? drawing.blank(work, colour) : await drawing.cover(depthMap.bytes, work);
    if (referenceImage !== undefined) {
      const reference = await drawing.cover(referenceImage.bytes, work);
      return await drawing.darken(await drawing.blend(ground, reference, 1 - strength), PICTURE_DARKENING);
    }
    return depthMap === undefined ? ground : await drawing.darken(ground, PICTURE_DARKENING);
  }

  /** A dark panel along the lower edge with the prompt and, below it, the details. */
  async function drawCaption(work: Work, seed: number, metrics: CaptionMetrics): Promise<Overlay[]> {
    const { gap, textHeight, textWidth } = metrics;
    const details = detailsBlock(work, seed, metrics);
    const detailsPixels = await drawing.text(details.text, { ...details, colour: DETAILS_COLOUR });
    const prompt = promptBlock(work.prompt, textHeight - detailsPixels.height - gap, metrics);
    const promptPixels = await drawing.text(prompt.text, { ...prompt, colour: PROMPT_COLOUR });

    const left = metrics.frame + gap;
    const detailsTop = work.height - metrics.frame - gap - detailsPixels.height;
    const promptTop = detailsTop - gap - promptPixels.height;
    const panel = { width: textWidth + 2 * gap, height: work.height - metrics.frame - promptTop + gap };
    return [
      { pixels: drawPanel(panel), left: metrics.frame, top: promptTop - gap },
      { pixels: promptPixels, left, top: promptTop },
      { pixels: detailsPixels, left, top: detailsTop },
    ];
  }

  function drawFrame({ width, height }: Work, colour: Colour, thickness: number): Overlay[] {
    const horizontal = drawing.blank({ width, height: thickness }, colour);
    const vertical = drawing.blank({ width: thickness, height }, colour);
    return [
      { pixels: horizontal, left: 0, top: 0 },
      { pixels: horizontal, left: 0, top: height - thickness },
      { pixels: vertical, left: 0, top: 0 },
      { pixels: vertical, left: width - thickness, top: 0 },
    ];
  }
}

function drawPanel({ width, height }: { width: number; height: number }): RawPixels {
  const data = Buffer.alloc(width * height * 4, Uint8Array.from(PANEL));
  return { data, width, height, channels: 4 };
}
