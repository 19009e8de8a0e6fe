import { AppError, asAppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { Drawing } from '../../store/images.ts';
import type {
  GeneratedImage,
  GenerateHooks,
  GeneratorCapabilities,
  GeneratorHealth,
  GeneratorSizes,
  ImageGenerator,
  RawPixels,
  Work,
} from '../generator.ts';
import { createExistingStyle } from './existing.ts';
import type { MockStyle } from './mock-style.ts';
import { pause } from './pause.ts';
import { createPlaceholderStyle } from './placeholder.ts';

/** Longest side of a preview, in pixels. */
const PREVIEW_SIDE = 256;
/** Seeds wrap here. */
const SEEDS = 2 ** 32;

/** What the mock generator is built from. */
export interface MockOptions {
  /** `placeholder` draws the request as text, `existing` shows images of `imagesDir`. */
  readonly style: 'placeholder' | 'existing';
  /** Folder of the images for `existing`; only read. */
  readonly imagesDir?: string | undefined;
  /** Least time that each image takes. */
  readonly delayMs: number;
  /** Progress steps of an image when the work names none. */
  readonly steps: number;
  readonly drawing: Drawing;
  readonly clock: Clock;
}

/** Makes images without a model: for tests, for demonstrations and as the last resort of an exhibition. */
export class MockImageGenerator implements ImageGenerator {
  readonly name = 'mock';
  /** Both styles take these fields, though `existing` shows nothing of them: a mock stands in for others. */
  readonly capabilities: GeneratorCapabilities = {
    fields: new Set(['negative_prompt', 'steps', 'strength', 'reference_image', 'depth_map']),
    seeds: true,
    maxImages: 10,
    previews: true,
  };
  readonly sizes: GeneratorSizes = { default: { width: 1024, height: 1024 }, min: 64, max: 4096, multipleOf: 1 };

  readonly #options: MockOptions;
  readonly #style: MockStyle;
  readonly #running = new Map<AbortController, Promise<unknown>>();
  #health: GeneratorHealth = { state: 'starting' };

  constructor(options: MockOptions) {
    this.#options = options;
    this.#style = createStyle(options);
  }

  /** Throws `config_invalid` when the folder of the style `existing` has no images, `generator_unavailable` once closed. */
  async start(): Promise<void> {
    try {
      await this.#style.start();
    } catch (error) {
      this.#health = { state: 'disabled', reason: asAppError(error).message };
      throw error;
    }
    if (this.#health.state === 'disabled') throw unavailable();
    this.#health = { state: 'ready' };
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    if (this.#health.state !== 'ready') throw unavailable();

    const closing = new AbortController();
    const images = this.#drawAll(work, hooks, AbortSignal.any([hooks.signal, closing.signal]));
    this.#running.set(closing, images);
    try {
      return await images;
    } finally {
      this.#running.delete(closing);
    }
  }

  health(): GeneratorHealth {
    return this.#health;
  }

  async close(): Promise<void> {
    this.#health = { state: 'disabled', reason: 'The mock generator is closed.' };
    for (const closing of this.#running.keys()) closing.abort(unavailable());
    await Promise.allSettled(this.#running.values());
  }

  async #drawAll(work: Work, hooks: GenerateHooks, signal: AbortSignal): Promise<GeneratedImage[]> {
    const images: GeneratedImage[] = [];
    for (let index = 0; index < work.numImages; index += 1) {
      signal.throwIfAborted();
      const startedAt = this.#options.clock.elapsed();
      const seed = (work.seed + index) % SEEDS;
      const pixels = await this.#draw(work, seed);
      await this.#passSteps({ work, index, pixels, startedAt }, hooks, signal);
      images.push({ kind: 'raw', seed, pixels });
    }
    return images;
  }

  async #draw(work: Work, seed: number): Promise<RawPixels> {
    try {
      return await this.#style.draw(work, seed);
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('generator_failed', 'The mock generator could not draw the image.', { cause: error });
    }
  }

  /** Spreads what is left of the delay over the image's steps, and reports each. */
  async #passSteps(image: ImageInProgress, hooks: GenerateHooks, signal: AbortSignal): Promise<void> {
    const { clock, delayMs, drawing } = this.#options;
    const stepsPerImage = image.work.steps ?? this.#options.steps;
    const steps = stepsPerImage * image.work.numImages;
    let preview: RawPixels | undefined;

    for (let ofImage = 1; ofImage <= stepsPerImage; ofImage += 1) {
      const waitMs = image.startedAt + (delayMs * ofImage) / stepsPerImage - clock.elapsed();
      // Rounded up, because timers cut fractions off and the delay is the least that an image takes.
      if (waitMs > 0) await pause(clock, Math.ceil(waitMs), signal);

      signal.throwIfAborted();
      const step = image.index * stepsPerImage + ofImage;
      hooks.onProgress({ step, steps });
      signal.throwIfAborted();

      if (hooks.wantsPreview()) {
        preview ??= await drawing.shrink(image.pixels, PREVIEW_SIDE);
        signal.throwIfAborted();
        hooks.onPreview({ step, steps, pixels: preview });
      }
    }
    signal.throwIfAborted();
  }
}

interface ImageInProgress {
  readonly work: Work;
  readonly index: number;
  readonly pixels: RawPixels;
  readonly startedAt: number;
}

function createStyle({ style, imagesDir, drawing }: MockOptions): MockStyle {
  return style === 'existing' ? createExistingStyle({ imagesDir, drawing }) : createPlaceholderStyle({ drawing });
}

function unavailable(): AppError {
  return new AppError('generator_unavailable', 'The generator mock is not running.');
}
