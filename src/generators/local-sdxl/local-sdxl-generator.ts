import type { Config } from '../../config/schema.ts';
import { AppError, asAppError } from '../../errors.ts';
import type { OptionalField } from '../../messages/fields.ts';
import type { Clock } from '../../render/clock.ts';
import type { Logger } from '../../render/logger.ts';
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
import { jobFor } from './job.ts';
import type { ModelFolder } from './model/model-folder.ts';
import { physicalCores } from './model/physical-cores.ts';
import { revisionOf } from './model/revision.ts';
import type { Variants } from './model/variants.ts';
import { readVariants } from './model/variants.ts';
import type { StartChild } from './process/child-link.ts';
import { startChild } from './process/child-link.ts';
import type { ModelFacts } from './process/protocol.ts';
import type { ModelProcess } from './process/supervisor.ts';
import { createModelProcess } from './process/supervisor.ts';
import { createStepTimes } from './step-times.ts';
import { createTurns } from './turns.ts';

/** Sides that SDXL's graphs accept are multiples of this: three halvings of the VAE, two of the UNet. */
const MULTIPLE_OF = 32;
const SMALLEST_SIDE = 64;
/** Side of the images that SDXL was trained with. */
const USUAL_SIDE = 1024;
const SEEDS = 2 ** 32;

/** What the generator is built from. */
export interface LocalSDXLOptions {
  readonly config: Config['local_sdxl'];
  /** Whether the server cannot do without it: then a model that cannot be used ends the program. */
  readonly required: boolean;
  readonly drawing: Pick<Drawing, 'decode'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hears how long each step took, in s. */
  observeStep(seconds: number): void;
  /** Hears that `health` has changed: work may be taken, or no more. */
  onHealth(): void;
  /** Starts the process of the model; default: a real one. */
  readonly startChild?: StartChild | undefined;
}

/** Stable Diffusion XL on ONNX Runtime, in a process of its own. */
export class LocalSDXLGenerator implements ImageGenerator {
  readonly name = 'local_sdxl';

  readonly #options: LocalSDXLOptions;
  readonly #modelProcess: ModelProcess;
  readonly #turns = createTurns();
  readonly #closing = new AbortController();
  #revision: string;
  #variants: Variants | undefined;
  #facts: ModelFacts | undefined;
  /** Why it cannot be used, but for what the process says. */
  #failure: AppError | undefined;

  constructor(options: LocalSDXLOptions) {
    this.#options = options;
    const { config, clock, log } = options;
    // Until the folder is read nothing may be shared with renders of another model.
    this.#revision = `unread at ${clock.now()}`;
    if (config.model_dir === undefined) {
      const reason = 'It has no model: set [local_sdxl] model_dir to the folder of one.';
      this.#failure = new AppError('generator_unavailable', reason);
    }
    this.#modelProcess = createModelProcess({
      startChild: options.startChild ?? startChild,
      clock,
      stopMs: config.stop_s * 1000,
      load: {
        device: config.device,
        deviceId: config.device_id,
        fallback: config.device_fallback,
        threads: config.threads ?? physicalCores(),
        lowMemory: config.low_memory,
      },
      onHealth: options.onHealth,
      onCrash: (how) => log.error({ how }, 'the process of local_sdxl has ended'),
    });
  }

  get revision(): string {
    return this.#revision;
  }

  get capabilities(): GeneratorCapabilities {
    const { styles, loras } = this.#options.config;
    const { imageToImage = true, controlNet = true } = this.#facts ?? {};
    const fields: OptionalField[] = ['negative_prompt', 'steps', 'guidance_scale'];
    if (imageToImage) fields.push('reference_image', 'strength');
    if (controlNet) fields.push('depth_map');
    if (Object.keys(styles).length > 0) fields.push('style');
    if (loras.length > 0) fields.push('loras');
    return { fields: new Set(fields), seeds: true, maxImages: 10, previews: true };
  }

  get sizes(): GeneratorSizes {
    const { model } = this.#variants?.base ?? {};
    const multipleOf = model?.multipleOf ?? MULTIPLE_OF;
    const max = Math.floor(this.#options.config.max_side / multipleOf) * multipleOf;
    const min = Math.ceil(SMALLEST_SIDE / multipleOf) * multipleOf;
    const side = Math.min(Math.max(model?.nativeSide ?? USUAL_SIDE, min), max);
    return { default: { width: side, height: side }, min, max, multipleOf };
  }

  /** Throws `config_invalid` when the model can never be used and the server needs it, else `generator_unavailable`. */
  async start(): Promise<void> {
    try {
      if (this.#closing.signal.aborted) throw unavailable();
      if (this.#failure !== undefined) throw this.#failure;
      const { config } = this.#options;
      const variants = await readVariants(config);
      const models = variants.all.map(({ model }) => model);
      this.#revision = await revisionOf(models, config);
      this.#variants = variants;
      this.#facts = await this.#modelProcess.load(variants.base.model);
    } catch (thrown) {
      const error = asAppError(thrown);
      this.#failure = error;
      this.#options.onHealth();
      if (error.code === 'config_invalid' && !this.#options.required) throw unavailable(error);
      throw error;
    }
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    const variants = this.#variants;
    if (variants === undefined || this.#closing.signal.aborted) throw unavailable();
    hooks.signal.throwIfAborted();
    const variant = variants.choose(work);
    const job = jobFor(work, variant, this.#options.config);

    const signal = AbortSignal.any([hooks.signal, this.#closing.signal]);
    const inputs = await this.#readInputs(work);
    const endTurn = await this.#turns.take(signal);
    try {
      const facts = await this.#load(variant.model, signal);
      refuseWhatIsMissing(work, facts);
      const times = createStepTimes();
      const images = await this.#modelProcess.render(job, inputs, {
        signal,
        onProgress: ({ step, steps, stepMs }) => {
          this.#options.observeStep(stepMs / 1000);
          hooks.onProgress({ step, steps, etaMs: times.remainingMs(stepMs, steps - step) });
        },
        wantsPreview: hooks.wantsPreview,
        onPreview: hooks.onPreview,
      });
      return images.map((pixels, index) => ({ kind: 'raw', seed: (work.seed + index) % SEEDS, pixels }));
    } finally {
      endTurn();
    }
  }

  health(): GeneratorHealth {
    if (this.#failure !== undefined) return { state: 'disabled', reason: this.#failure.message };
    return this.#modelProcess.health();
  }

  async close(): Promise<void> {
    this.#closing.abort(unavailable());
    await this.#modelProcess.close();
  }

  /** A style's or LoRA's model that turns out to be broken is the operator's fault, and stays so. */
  async #load(model: ModelFolder, signal: AbortSignal): Promise<ModelFacts> {
    try {
      return await this.#modelProcess.load(model, signal);
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.code !== 'config_invalid') throw thrown;
      throw new AppError('generator_unavailable', thrown.message, { cause: thrown, retryable: false });
    }
  }

  async #readInputs(work: Work): Promise<{ reference: RawPixels | undefined; depth: RawPixels | undefined }> {
    const { drawing } = this.#options;
    const [reference, depth] = await Promise.all(
      [work.referenceImage, work.depthMap].map((image) => image && drawing.decode(image.bytes)),
    );
    return { reference, depth };
  }
}

function refuseWhatIsMissing({ depthMap, referenceImage }: Work, facts: ModelFacts): void {
  if (depthMap !== undefined && !facts.controlNet) {
    throw new AppError('unsupported_field', 'The model has no ControlNet, so it cannot follow a depth map.');
  }
  if (referenceImage !== undefined && !facts.imageToImage) {
    throw new AppError('unsupported_field', 'The model has no VAE encoder, so it cannot start from an image.');
  }
}

function unavailable(cause?: AppError): AppError {
  if (cause !== undefined) return new AppError('generator_unavailable', cause.message, { cause });
  return new AppError('generator_unavailable', 'The generator local_sdxl is not running.');
}
