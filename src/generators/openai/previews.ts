import { AppError } from '../../errors.ts';
import type { Drawing } from '../../store/images.ts';
import type { GenerateHooks, Work } from '../generator.ts';
import type { ImageReader } from '../remote/images.ts';
import type { Stage } from '../remote/stages.ts';
import { STAGES } from '../remote/stages.ts';

/** Longest side of a preview, in pixels. */
const PREVIEW_SIDE = 512;

/** What `createPreviews` works with. */
export interface PreviewParts {
  readonly work: Work;
  readonly hooks: GenerateHooks;
  readonly signal: AbortSignal;
  readonly reach: (stage: Stage) => void;
  readonly drawing: Pick<Drawing, 'cover'>;
  readonly reader: Pick<ImageReader, 'decode'>;
}

/** Shows partial images, given as base64, to those who want to see them. */
export function createPreviews({ work, hooks, signal, reach, drawing, reader }: PreviewParts) {
  return async (base64: string): Promise<void> => {
    reach('started');
    if (!hooks.wantsPreview()) return;
    const pixels = await decode(base64);
    signal.throwIfAborted();
    if (pixels === undefined) return;
    hooks.onPreview({ step: STAGES.indexOf('started') + 1, steps: STAGES.length, pixels });
  };

  async function decode(base64: string) {
    try {
      return await drawing.cover(reader.decode(base64), previewSize(work));
    } catch (error) {
      // The image itself is still to come, and paid.
      if (error instanceof AppError) return undefined;
      throw error;
    }
  }
}

/** The work's proportion, as small as a preview needs to be. */
function previewSize({ width, height }: Work): { width: number; height: number } {
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
