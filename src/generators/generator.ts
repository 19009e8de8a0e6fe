import type { OptionalField } from '../messages/fields.ts';
import type { GeneratorState } from '../messages/outputs.ts';

/** What a generator can do, as far as callers must know before they ask. */
export interface GeneratorCapabilities {
  /** Optional fields that it honours; a strict request with any other is refused before it is queued. */
  readonly fields: ReadonlySet<OptionalField>;
  /** Those of `fields` without which it cannot draw at all. */
  readonly required?: ReadonlySet<OptionalField>;
  /** Whether equal work with an equal seed gives equal images. */
  readonly seeds: boolean;
  /** Most images of one piece of work. */
  readonly maxImages: number;
  /** Whether it shows intermediate images. */
  readonly previews: boolean;
}

/** The sizes that a generator renders, in pixels. A request for another one gets the nearest. */
export interface GeneratorSizes {
  readonly default: { readonly width: number; readonly height: number };
  readonly min: number;
  readonly max: number;
  /** Both sides are multiples of this. */
  readonly multipleOf: number;
}

/** What a generator can do by one of its models, or presets. */
export interface GeneratorModel {
  readonly capabilities: GeneratorCapabilities;
  readonly sizes: GeneratorSizes;
}

/** What a request's `generator` means. */
export interface GeneratorChoice {
  readonly generator: string;
  readonly model?: string | undefined;
}

/** An input image, checked and complete. */
export interface InputImage {
  /** SHA-256 of `bytes`, hex. */
  readonly imageId: string;
  /** The encoded file: PNG, JPEG or WebP. */
  readonly bytes: Uint8Array;
}

/** What a generator is asked to draw: every choice is made, nothing is left to a default but its own. */
export interface Work {
  readonly workId: string;
  /** One of the generator's `models`; it draws by its usual one when it has none of this name. */
  readonly model?: string | undefined;
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  /** Pixels; already a size that the generator renders. */
  readonly width: number;
  readonly height: number;
  /** Image i has `seed + i`, modulo 2^32. */
  readonly seed: number;
  readonly numImages: number;
  readonly steps?: number | undefined;
  readonly guidanceScale?: number | undefined;
  readonly strength?: number | undefined;
  readonly style?: string | undefined;
  readonly loras?: readonly { readonly path: string; readonly scale: number }[] | undefined;
  readonly era?: string | undefined;
  readonly biome?: string | undefined;
  readonly referenceImage?: InputImage | undefined;
  readonly depthMap?: InputImage | undefined;
  readonly mask?: InputImage | undefined;
}

/** Pixels, row by row, 8 bits a channel. */
export interface RawPixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

/** One finished image: pixels, or an encoded file as a provider sent it. */
export type GeneratedImage = { readonly seed: number } & (
  | { readonly kind: 'raw'; readonly pixels: RawPixels }
  | { readonly kind: 'encoded'; readonly bytes: Uint8Array }
);

/** How a generator talks to whoever runs it while it works. */
export interface GenerateHooks {
  /** Aborted when nobody waits for the work any more. `generate` then rejects as soon as the work has stopped. */
  readonly signal: AbortSignal;
  /** Called in order, with `step` from 1 to `steps`, over all images of the work; `etaMs` where it knows better than the mean. */
  onProgress(progress: { readonly step: number; readonly steps: number; readonly etaMs?: number | undefined }): void;
  /** Whether anybody would see a preview now; asked before one is made. */
  wantsPreview(): boolean;
  onPreview(preview: { readonly step: number; readonly steps: number; readonly pixels: RawPixels }): void;
  /** What an earlier try of this work has reported and did not end: go on with that job, do not submit again. */
  readonly remoteId: string | undefined;
  /**
   * Reports a provider's job id, or before its submit leaves whatever tells the next start that there may be one;
   * undefined: there is none after all. It is durable when this resolves. Wait for that before anything else.
   */
  onRemoteId(remoteId: string | undefined): Promise<void>;
  /** Says that the provider may go on, and bill, although `generate` is about to reject. */
  onDetached(): void;
  /** Reports what this try costs, in USD: once at most. What becomes known later, `costOf` tells. */
  onCost(usd: number): void;
}

/** How a generator is, with a sentence when it is not `ready`. */
export interface GeneratorHealth {
  readonly state: GeneratorState;
  readonly reason?: string | undefined;
}

/** What is known of the cost of a job: USD, that it is `open` while the job goes on, or that nobody will learn it. */
export type LeftCost = number | 'open' | 'unknown';

/** A back end that makes images. `test/generators/conformance.ts` says what each one must do. */
export interface ImageGenerator {
  readonly name: string;
  /** Names the model and its version: equal work looks alike only while this is equal. Default: the name. */
  readonly revision?: string | undefined;
  readonly capabilities: GeneratorCapabilities;
  readonly sizes: GeneratorSizes;
  /** What requests may name as `generator/model`, beside the usual one that the two above are of. */
  readonly models?: ReadonlyMap<string, GeneratorModel>;
  /** Gets ready; resolves when the first work can be taken. Throws `AppError` when it never will. */
  start(): Promise<void>;
  /**
   * Draws all images of the work, in order of their seeds, or none.
   * Rejects with `AppError` when it cannot, and with the signal's reason when it was stopped.
   */
  generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]>;
  health(): GeneratorHealth;
  /** Whether work whose earlier try has reported this is asked for anew, and may be paid again; default: never. */
  submitsAgain?(remoteId: string): boolean;
  /**
   * Asks once what a provider's job has cost that nobody waits for any more; `work` is without its input images. Only
   * generators whose provider can tell have it. Throws `AppError`, `retryable` when the provider may tell later.
   */
  costOf?(work: Work, remoteId: string, signal: AbortSignal): Promise<LeftCost>;
  /** Stops what runs and frees everything; `generate` rejects afterwards. */
  close(): Promise<void>;
}

/** A generator as the server runs it. */
export interface ServedGenerator {
  readonly generator: ImageGenerator;
  /** Most works at a time. */
  readonly concurrency: number;
  /** Default of a render's time from its first start. */
  readonly timeoutMs: number;
  /** Most works a minute; without it, as many as come. */
  readonly ratePerMinute?: number | undefined;
  /** USD that a day (UTC) may cost; without it, no limit. */
  readonly dailySpendUsd?: number | undefined;
}
