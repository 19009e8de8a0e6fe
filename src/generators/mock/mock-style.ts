import type { RawPixels, Work } from '../generator.ts';

/** Where the mock generator's pictures come from. */
export interface MockStyle {
  /** Throws `config_invalid` when it can never draw. */
  start(): Promise<void>;
  /**
   * One image of the work, at the work's size; equal calls give equal pixels. `seed` is this image's own. Rejects when
   * the signal is aborted, if it can stop at all.
   */
  draw(work: Work, seed: number, signal: AbortSignal): Promise<RawPixels>;
  /** The same image at `scale` of its size, below 1, for previews of the steps before the last. */
  sketch?(work: Work, seed: number, scale: number, signal: AbortSignal): Promise<RawPixels>;
  /** Frees what it holds; it draws no more. */
  close?(): Promise<void>;
}
