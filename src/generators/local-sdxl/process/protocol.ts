import type { GraphName } from '../model/components.ts';
import type { ModelFolder } from '../model/model-folder.ts';
import type { GraphOptions } from '../networks/graph.ts';
import type { SchedulerConfig } from '../schedulers/config.ts';

/** Most bytes of pixels in one message: taking a larger one in would hold up the server. */
export const CHUNK_BYTES = 1 << 19;

/** Pixels on their way between the processes, RGB; `index` says which image of the work, or which of its inputs. */
export interface Chunk {
  readonly kind: 'chunk';
  readonly id: number;
  readonly index: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Size of an image whose pixels come in chunks. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** A work with every choice made. */
export interface RenderJob {
  readonly prompt: string;
  /** For the second text encoder; the prompt when undefined. */
  readonly prompt2: string | undefined;
  readonly negativePrompt: string | undefined;
  readonly negativePrompt2: string | undefined;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly clipSkip: number;
  readonly strength: number;
  readonly eta: number;
  readonly scheduler: SchedulerConfig;
  /** One image each. */
  readonly seeds: readonly number[];
  readonly control: { readonly scale: number; readonly start: number; readonly end: number };
  /** Height and width, as the model was told in training; the image's own when undefined. */
  readonly originalSize: readonly [number, number] | undefined;
  readonly targetSize: readonly [number, number] | undefined;
  /** Top and left. */
  readonly crop: readonly [number, number];
}

/** How the child loads a model. */
export interface LoadOptions extends GraphOptions {
  /** Whether to go on with the CPU when the device cannot be used. */
  readonly fallback: boolean;
}

/** What the server says to the child. */
export type ToChild =
  | { readonly kind: 'load'; readonly id: number; readonly model: ModelFolder; readonly options: LoadOptions }
  | {
      readonly kind: 'render';
      readonly id: number;
      readonly job: RenderJob;
      /** Their pixels follow, those of the reference image first. */
      readonly reference: ImageSize | undefined;
      readonly depth: ImageSize | undefined;
      readonly previews: boolean;
    }
  | Chunk
  | { readonly kind: 'previews'; readonly id: number; readonly wanted: boolean }
  | { readonly kind: 'cancel'; readonly id: number };

/** What the graphs of a loaded model can do. */
export interface ModelFacts {
  readonly controlNet: boolean;
  readonly imageToImage: boolean;
  /** What the operator should know, in sentences: why something is worse than it could be. */
  readonly notes: readonly string[];
}

/** Why a model cannot be loaded. `broken` stays so; `failed` may pass, as a lack of memory does. */
export interface LoadFailure {
  readonly kind: 'not-loaded';
  readonly id: number;
  readonly why: 'broken' | 'failed';
  /** For the operator. */
  readonly message: string;
  /** For the log. */
  readonly detail: string;
}

/** What the child says to the server. */
export type FromChild =
  | {
      readonly kind: 'loading';
      readonly id: number;
      readonly graph: GraphName;
      readonly index: number;
      readonly of: number;
    }
  | { readonly kind: 'loaded'; readonly id: number; readonly facts: ModelFacts }
  | LoadFailure
  | {
      readonly kind: 'progress';
      readonly id: number;
      readonly step: number;
      readonly steps: number;
      readonly stepMs: number;
    }
  | {
      readonly kind: 'preview';
      readonly id: number;
      readonly step: number;
      readonly steps: number;
      readonly width: number;
      readonly height: number;
      readonly data: Uint8Array;
    }
  | Chunk
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'stopped'; readonly id: number }
  | {
      readonly kind: 'failed';
      readonly id: number;
      /** `fatal`: the process must be replaced, for what it has allocated or broken stays so. */
      readonly why: 'request' | 'output' | 'fatal' | 'error';
      readonly message: string;
      readonly detail: string;
    };
