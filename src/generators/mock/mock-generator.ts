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
import { pause } from '../pause.ts';
import { createExistingStyle } from './existing.ts';
import type { MockStyle } from './mock-style.ts';
import { createPlaceholderStyle } from './placeholder.ts';
import { createTerrainStyle } from './terrain/terrain.ts';

/** Longest side of a preview, in pixels. */
const PREVIEW_SIDE = 256;
/** Seeds wrap here. */
const SEEDS = 2 ** 32;

/** What the mock generator is built from. */
export interface MockOptions {
  /** `terrain` draws a landscape, `placeholder` the request as text; `existing` shows images of `imagesDir`. */
  readonly style: 'terrain' | 'placeholder' | 'existing';
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
  /** All styles take these fields, though `existing` shows nothing of them: a mock stands in for others. */
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
    await this.#style.close?.();
  }

  async #drawAll(work: Work, hooks: GenerateHooks, signal: AbortSignal): Promise<GeneratedImage[]> {
    const images: GeneratedImage[] = [];
    for (let index = 0; index < work.numImages; index += 1) {
      signal.throwIfAborted();
      const seed = (work.seed + index) % SEEDS;
      const pixels = await this.#drawImage(
        { work, index, seed, startedAt: this.#options.clock.elapsed() },
        hooks,
        signal,
      );
      images.push({ kind: 'raw', seed, pixels });
    }
    return images;
  }

  /** Draws the image by its last step, spreads what is left of the delay over all of them, and reports each. */
  async #drawImage(image: ImageInProgress, hooks: GenerateHooks, signal: AbortSignal): Promise<RawPixels> {
    const { clock, delayMs, drawing } = this.#options;
    const { work, seed } = image;
    const stepsPerImage = work.steps ?? this.#options.steps;
    const steps = stepsPerImage * work.numImages;
    const draw = () => this.#drawing(() => this.#style.draw(work, seed, signal), signal);
    // Styles that sketch show coarse pictures on the way; the others have but one to show.
    let pixels = this.#style.sketch === undefined || stepsPerImage === 1 ? await draw() : undefined;
    let preview: RawPixels | undefined;

    for (let ofImage = 1; ofImage <= stepsPerImage; ofImage += 1) {
      if (ofImage === stepsPerImage) pixels ??= await draw();
      const waitMs = image.startedAt + (delayMs * ofImage) / stepsPerImage - clock.elapsed();
      // Rounded up, because timers cut fractions off and the delay is the least that an image takes.
      if (waitMs > 0) await pause(clock, Math.ceil(waitMs), signal);

      signal.throwIfAborted();
      const step = image.index * stepsPerImage + ofImage;
      hooks.onProgress({ step, steps });
      signal.throwIfAborted();

      if (hooks.wantsPreview()) {
        const sketch = pixels === undefined ? await this.#sketch(image, ofImage - stepsPerImage, signal) : undefined;
        if (pixels !== undefined) preview ??= await drawing.shrink(pixels, PREVIEW_SIDE);
        signal.throwIfAborted();
        const shown = sketch ?? preview;
        if (shown !== undefined) hooks.onPreview({ step, steps, pixels: shown });
      }
    }
    signal.throwIfAborted();
    return pixels ?? (await draw());
  }

  /** Twice as fine with each step: `exponent` −1 is half the size, −2 a quarter. */
  async #sketch(
    { work, seed }: ImageInProgress,
    exponent: number,
    signal: AbortSignal,
  ): Promise<RawPixels | undefined> {
    const sketch = await this.#drawing(
      async () => await this.#style.sketch?.(work, seed, 2 ** exponent, signal),
      signal,
    );
    return sketch === undefined ? undefined : await this.#options.drawing.shrink(sketch, PREVIEW_SIDE);
  }

  async #drawing<T>(draw: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await draw();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      throw new AppError('generator_failed', 'The mock generator could not draw the image.', { cause: error });
    }
  }
}

interface ImageInProgress {
  readonly work: Work;
  readonly index: number;
  /** This image's own. */
  readonly seed: number;
  readonly startedAt: number;
}

function createStyle({ style, imagesDir, drawing }: MockOptions): MockStyle {
  if (style === 'existing') return createExistingStyle({ imagesDir, drawing });
  return style === 'terrain' ? createTerrainStyle({ drawing }) : createPlaceholderStyle({ drawing });
}

function unavailable(): AppError {
  return new AppError('generator_unavailable', 'The generator mock is not running.');
}
