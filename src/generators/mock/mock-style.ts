import type { RawPixels, Work } from '../generator.ts';

/** Where the mock generator's pictures come from. */
export interface MockStyle {
  /** Throws `config_invalid` when it can never draw. */
  start(): Promise<void>;
  /** One image of the work, at the work's size; equal calls give equal pixels. `seed` is this image's own. */
  draw(work: Work, seed: number): Promise<RawPixels>;
}
