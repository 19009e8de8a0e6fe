import { hash } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type {
  GeneratedImage,
  GenerateHooks,
  GeneratorCapabilities,
  GeneratorHealth,
  GeneratorSizes,
  ImageGenerator,
  Work,
} from '../generator.ts';
import { pause } from '../pause.ts';
import type { UpstreamHttp } from '../remote/http.ts';
import type { ImageReader } from '../remote/images.ts';
import { createImageReader } from '../remote/images.ts';
import { RemoteLife } from '../remote/life.ts';
import type { ModelServer } from './model-server.ts';
import { createModelServer, PROVIDER } from './model-server.ts';

const SEEDS = 2 ** 32;
const HOUR_S = 3600;

/** After these the server is looked at before it is called well again. */
const TROUBLES: ReadonlySet<string> = new Set([
  'upstream_failed',
  'upstream_timeout',
  'outcome_unknown',
  'generator_failed',
]);

const LOADING: GeneratorHealth = { state: 'starting', reason: `${PROVIDER} loads its models.` };
const AWAY: GeneratorHealth = { state: 'degraded', reason: `${PROVIDER} cannot be reached.` };
const BROKEN: GeneratorHealth = { state: 'degraded', reason: `${PROVIDER} says that it does not work.` };

/** What the generator is built from. */
export interface VastAIOptions {
  readonly config: Config['vastai'];
  readonly http: UpstreamHttp;
  readonly clock: Clock;
}

/**
 * Makes images by the model server that Experimance runs on a rented GPU. The server draws while it answers and gives no
 * job ids: an answer that never comes leaves it unknown whether an image was drawn, and nothing can be cancelled.
 */
export class VastAIGenerator implements ImageGenerator {
  readonly name = 'vastai';
  readonly revision: string;
  readonly capabilities: GeneratorCapabilities = {
    fields: new Set(['negative_prompt', 'steps', 'guidance_scale', 'loras', 'depth_map']),
    seeds: true,
    maxImages: 4,
    previews: false,
  };
  readonly sizes: GeneratorSizes = { default: { width: 1024, height: 1024 }, min: 256, max: 2048, multipleOf: 64 };

  readonly #options: VastAIOptions;
  readonly #server: ModelServer;
  readonly #images: ImageReader;
  readonly #life: RemoteLife;
  #watching = false;

  constructor(options: VastAIOptions) {
    const { config, http, clock } = options;
    const { base_url: baseUrl } = config;
    this.#options = options;
    this.revision = revisionOf(config);
    this.#server = createModelServer(options);
    this.#images = createImageReader({ http, clock, provider: PROVIDER, baseUrl: baseUrl ?? '', hosts: [] });
    const missing = baseUrl === undefined ? 'It has no server: set [vastai] base_url.' : undefined;
    this.#life = new RemoteLife(this.name, missing);
  }

  /**
   * Waits while the server loads its models. One that cannot be reached is looked for on and on; work that comes
   * meanwhile fails at once, so that a fallback can answer.
   */
  async start(): Promise<void> {
    const { clock, config } = this.#options;
    this.#life.throwIfDisabled();
    await this.#life.run(new AbortController().signal, async (closing) => {
      while ((await this.#look(closing)) === 'starting') await pause(clock, config.check_s * 1000, closing);
    });
    if (this.#life.health.state !== 'ready') this.#watch();
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    return await this.#life.run(hooks.signal, async (signal) => {
      let seconds = 0;
      let asked = false;
      try {
        const images: GeneratedImage[] = [];
        for (let index = 0; index < work.numImages; index += 1) {
          signal.throwIfAborted();
          const seed = (work.seed + index) % SEEDS;
          const drawn = await this.#server.generate(work, seed, signal, () => {
            asked = true;
          });
          asked = false;
          seconds += drawn.seconds;
          images.push({ kind: 'encoded', seed, bytes: this.#images.decode(drawn.base64) });
          signal.throwIfAborted();
          hooks.onProgress({ step: index + 1, steps: work.numImages });
        }
        signal.throwIfAborted();
        this.#report(seconds, hooks);
        return images;
      } catch (error) {
        if (signal.aborted && asked) hooks.onDetached();
        this.#report(seconds, hooks);
        signal.throwIfAborted();
        if (error instanceof AppError && TROUBLES.has(error.code)) this.#watch();
        throw error;
      }
    });
  }

  health(): GeneratorHealth {
    return this.#life.health;
  }

  async close(): Promise<void> {
    await this.#life.close();
    this.#options.http.close();
  }

  /** Looks at the server and takes over how it is. */
  async #look(signal: AbortSignal): Promise<GeneratorHealth['state']> {
    const health = await this.#server.look(signal).then(
      (state): GeneratorHealth => {
        if (state === 'usable') return { state: 'ready' };
        return state === 'loading' ? LOADING : BROKEN;
      },
      (error: unknown): GeneratorHealth => {
        signal.throwIfAborted();
        if (error instanceof AppError) return AWAY;
        throw error;
      },
    );
    this.#life.become(health);
    return health.state;
  }

  /** Looks again and again until the server is well. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    const { clock, config } = this.#options;
    this.#life.follow(async (closing) => {
      try {
        while ((await this.#look(closing)) !== 'ready') await pause(clock, config.check_s * 1000, closing);
      } catch (error) {
        if (!closing.aborted) throw error;
      } finally {
        this.#watching = false;
      }
    });
  }

  /** What the GPU's time costs; a GPU of one's own costs nothing. */
  #report(seconds: number, hooks: GenerateHooks): void {
    const { usd_per_hour } = this.#options.config;
    if (usd_per_hour > 0 && seconds > 0) hooks.onCost((seconds / HOUR_S) * usd_per_hour);
  }
}

/** Everything of the configuration that decides how images look. */
function revisionOf(config: Config['vastai']): string {
  const { model, controlnet, controlnet_strength, control_guidance_start, control_guidance_end } = config;
  const { scheduler, steps, guidance_scale, enable_deepcache } = config;
  const control = [controlnet, controlnet_strength, control_guidance_start, control_guidance_end];
  const looks = JSON.stringify([model, control, scheduler, steps, guidance_scale, enable_deepcache]);
  return `vastai ${hash('sha256', looks).slice(0, 16)}`;
}
