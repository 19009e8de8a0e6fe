import type { Size } from './grid.ts';
import type { Scene } from './world.ts';

/** A picture to draw, as the thread gets it. */
export interface Job {
  readonly id: number;
  readonly scene: Scene;
  /** Names the depth map, if any: equal names are equal maps. */
  readonly depthName: string;
  readonly size: Size;
  /** Whether small pictures are drawn larger and shrunk, for smooth lines; previews do without. */
  readonly smooth: boolean;
  /** One number in shared memory: not 0 once nobody wants the picture. */
  readonly stop: Int32Array;
}

/** The thread's answer: RGB, or why there is none. */
export type JobResult = { readonly id: number } & (
  | { readonly kind: 'drawn'; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly detail: string }
);
