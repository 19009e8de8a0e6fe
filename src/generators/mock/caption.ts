import type { Work } from '../generator.ts';

/** Most code points of a prompt that are shown, however large the image. */
const LONGEST_PROMPT = 240;
const LONGEST_NEGATIVE = 120;
const LONGEST_PLACE = 32;

/** Width of an average character and height of a line, in sizes of the font. */
const CHARACTER_WIDTH = 0.62;
const LINE_HEIGHT = 1.2;
/** Below this many pixels letters are no longer legible. */
const SMALLEST_FONT = 8;

/** A text and where it must fit, in pixels. */
export interface CaptionBlock {
  readonly text: string;
  readonly width: number;
  readonly height: number;
  readonly sizePx: number;
}

/** How large everything of a caption is, in pixels. */
export interface CaptionMetrics {
  /** Width of the frame around the image. */
  readonly frame: number;
  /** Between text, panel and frame. */
  readonly gap: number;
  readonly textWidth: number;
  readonly textHeight: number;
  readonly promptPx: number;
  readonly detailsPx: number;
}

/** Sizes that stay legible and in proportion from 64 to 4096 pixels, for narrow images too. */
export function captionMetrics({ width, height }: { width: number; height: number }): CaptionMetrics {
  const shorter = Math.min(width, height);
  const frame = Math.max(1, Math.round(shorter / 128));
  const promptPx = Math.max(SMALLEST_FONT, Math.round(Math.min(Math.sqrt(width * height) / 28, shorter / 7)));
  const gap = Math.round(promptPx * 0.45);
  return {
    frame,
    gap,
    textWidth: width - 2 * (frame + gap),
    textHeight: height - 2 * (frame + gap),
    promptPx,
    detailsPx: Math.max(SMALLEST_FONT, Math.round(promptPx * 0.7)),
  };
}

/** Everything but the prompt: size, seed, steps, place and negative prompt, the first ones first when space is short. */
export function detailsBlock(work: Work, seed: number, metrics: CaptionMetrics): CaptionBlock {
  const { width, height: workHeight, steps, era, biome, negativePrompt } = work;
  const named = (name: string, value: string | undefined, longest: number): string =>
    value === undefined ? '' : `${name} ${shorten(value, longest)}`;
  const lines = [
    [`seed ${seed}`, `${width}×${workHeight}`, steps === undefined ? '' : `${steps} steps`],
    [named('era', era, LONGEST_PLACE), named('biome', biome, LONGEST_PLACE)],
    [named('without', negativePrompt, LONGEST_NEGATIVE)],
  ].map((parts) => parts.filter((part) => part !== '').join(' · '));

  const { textWidth, textHeight, detailsPx } = metrics;
  const text = lines.filter((line) => line !== '').join('\n');
  const height = heightOf(linesIn(textHeight * 0.6, detailsPx), detailsPx);
  return { text, width: textWidth, height, sizePx: detailsPx };
}

/** The prompt, cut to what has room in `height`. */
export function promptBlock(prompt: string, height: number, metrics: CaptionMetrics): CaptionBlock {
  const { promptPx, textWidth } = metrics;
  const lines = linesIn(height, promptPx);
  // A line rarely fills up, because words are not broken: count on nine tenths.
  const capacity = Math.floor(lines * Math.floor(textWidth / (promptPx * CHARACTER_WIDTH)) * 0.9);
  const text = shorten(prompt, Math.min(LONGEST_PROMPT, Math.max(2, capacity)));
  return { text, width: textWidth, height: heightOf(lines, promptPx), sizePx: promptPx };
}

function linesIn(height: number, sizePx: number): number {
  return Math.max(1, Math.floor(height / (sizePx * LINE_HEIGHT)));
}

/** Whole lines only, so that none is cut lengthwise. */
function heightOf(lines: number, sizePx: number): number {
  return Math.ceil(lines * sizePx * LINE_HEIGHT);
}

/** `text` on one line, without what no font shows, cut to `longest` code points with an ellipsis as the last one. */
export function shorten(text: string, longest: number): string {
  const clean = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cn}\p{Co}\s]+/gu, ' ')
    .trim();
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(clean)) return '–';
  const points = Array.from(clean);
  return points.length <= longest
    ? clean
    : `${points
        .slice(0, longest - 1)
        .join('')
        .trimEnd()}…`;
}
