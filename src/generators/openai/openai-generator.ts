import { hash, randomUUID } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import type { KeyReading } from '../../config/secrets.ts';
import { AppError } from '../../errors.ts';
import { MAX_SEED } from '../../messages/fields.ts';
import type { Clock } from '../../render/clock.ts';
import type { Images } from '../../store/images.ts';
import type {
  GeneratedImage,
  GenerateHooks,
  GeneratorCapabilities,
  GeneratorHealth,
  GeneratorModel,
  GeneratorSizes,
  ImageGenerator,
  Work,
} from '../generator.ts';
import { unknownOutcome } from '../remote/exchange.ts';
import { paid, submitting } from '../remote/failures.ts';
import type { UpstreamHttp } from '../remote/http.ts';
import type { ImageReader } from '../remote/images.ts';
import { createImageReader } from '../remote/images.ts';
import { RemoteLife } from '../remote/life.ts';
import type { Stage } from '../remote/stages.ts';
import { createStages } from '../remote/stages.ts';
import type { Drawn } from './answer.ts';
import type { OpenAIApi } from './api.ts';
import { createOpenAIApi } from './api.ts';
import { costOf, pricesOf } from './cost.ts';
import { editImagesOf } from './edit-images.ts';
import { sizesOf } from './models.ts';
import { createPreviews } from './previews.ts';
import { PROVIDER } from './provider.ts';
import type { PreparedRequest } from './request.ts';
import { editRequest, generationRequest } from './request.ts';

/** What the generator is built from. */
export interface OpenAIOptions {
  readonly config: Config['openai'];
  readonly key: KeyReading;
  readonly http: UpstreamHttp;
  readonly drawing: Images;
  readonly clock: Clock;
}

/** Draws with the GPT image models of OpenAI, or with a server that speaks the same API. Without a key it is disabled. */
export class OpenAIGenerator implements ImageGenerator {
  readonly name = 'openai';
  readonly revision: string;
  readonly capabilities: GeneratorCapabilities;
  readonly sizes: GeneratorSizes;
  readonly models: ReadonlyMap<string, GeneratorModel>;

  readonly #options: OpenAIOptions;
  readonly #life: RemoteLife;
  readonly #api: OpenAIApi;
  readonly #images: ImageReader;

  constructor(options: OpenAIOptions) {
    const { config, key, http, clock } = options;
    const baseUrl = config.base_url;
    this.#options = options;
    this.#life = new RemoteLife(this.name, 'missing' in key ? key.missing : undefined);
    this.#api = createOpenAIApi({ http, clock, baseUrl, key: 'key' in key ? key.key : undefined });
    this.#images = createImageReader({ http, clock, provider: PROVIDER, baseUrl, hosts: config.result_hosts });
    this.capabilities = {
      fields: new Set(['steps', 'reference_image', 'mask']),
      seeds: false,
      maxImages: 10,
      previews: config.partial_images > 0,
    };
    this.sizes = sizesOf(config.model).sizes;
    this.models = new Map(
      config.models.map((model) => [model, { capabilities: this.capabilities, sizes: sizesOf(model).sizes }]),
    );
    const looks = JSON.stringify([baseUrl, config.model, config.quality, config.moderation]);
    this.revision = `openai ${hash('sha256', looks).slice(0, 16)}`;
  }

  /** There is nothing at the provider that would tell without a charge whether it draws for us. */
  async start(): Promise<void> {
    this.#life.throwIfDisabled();
    this.#life.become({ state: 'ready' });
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    const { config } = this.#options;
    const model = config.models.find((name) => name === work.model) ?? config.model;
    return await this.#life.run(hooks.signal, async (signal) => {
      try {
        return await this.#draw({ ...work, model }, hooks, signal);
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      }
    });
  }

  /** Nothing can be asked about there: what goes on is asked for anew. */
  submitsAgain(): boolean {
    return this.#options.config.resubmit_unknown;
  }

  health(): GeneratorHealth {
    return this.#life.health;
  }

  async close(): Promise<void> {
    await this.#life.close();
    this.#options.http.close();
  }

  async #draw(work: ModelWork, hooks: GenerateHooks, signal: AbortSignal): Promise<GeneratedImage[]> {
    const allowed = this.#options.config.resubmit_unknown;
    // An earlier try asked and never heard: whether that was drawn, and billed, cannot be found out.
    if (hooks.remoteId !== undefined && !allowed) throw unknownOutcome(PROVIDER);
    const previews = this.#previewsOf(work, hooks);
    const request = await this.#prepare(work, previews);
    signal.throwIfAborted();
    // Nothing can be fetched by this id. It tells the next start that an answer was lost, and OpenAI's support which.
    const id = randomUUID();
    await hooks.onRemoteId(id);

    const reach = createStages(hooks.onProgress, signal);
    const drawn = await submitting(allowed, () => this.#ask({ request, id, previews }, work, hooks, signal, reach));
    reach('finished');
    const files = await paid(() => this.#fetch(drawn, work.numImages, signal));
    reach('fetched');
    return files.map((bytes, index) => ({ kind: 'encoded', bytes, seed: (work.seed + index) % (MAX_SEED + 1) }));
  }

  /** A stream has but one image, and is asked for only when somebody watches: previews cost. */
  #previewsOf(work: Work, hooks: GenerateHooks): number {
    const { partial_images: most } = this.#options.config;
    return most > 0 && work.numImages === 1 && hooks.wantsPreview() ? most : 0;
  }

  async #prepare(work: ModelWork, previews: number): Promise<PreparedRequest> {
    const { referenceImage, mask, model } = work;
    const options = { ...this.#options.config, model };
    if (referenceImage === undefined) {
      if (mask === undefined) return generationRequest(work, options, previews);
      throw new AppError('invalid_request', 'mask: needs a reference_image, whose parts it chooses');
    }
    const images = await editImagesOf({ referenceImage, mask }, sizesOf(model).nearest(work), this.#options.drawing);
    return await editRequest(work, options, previews, images);
  }

  async #ask(
    { previews, ...asked }: { readonly request: PreparedRequest; readonly id: string; readonly previews: number },
    work: ModelWork,
    hooks: GenerateHooks,
    signal: AbortSignal,
    reach: (stage: Stage) => void,
  ): Promise<Drawn> {
    let sent = false;
    try {
      signal.throwIfAborted();
      const drawn = await this.#api.submit({
        ...asked,
        images: work.numImages + previews,
        signal,
        onSent: () => {
          sent = true;
        },
        onAccepted: () => reach('accepted'),
        onPartial: createPreviews({
          work,
          hooks,
          signal,
          reach,
          drawing: this.#options.drawing,
          reader: this.#images,
        }),
      });
      const usd = costOf(pricesOf(work.model, this.#options.config.prices), drawn.usage, drawn.images.length);
      if (usd !== undefined) hooks.onCost(usd);
      return drawn;
    } catch (error) {
      // Nothing can be cancelled there: what was asked for is drawn, and billed.
      if (signal.aborted && sent) hooks.onDetached();
      // And what was not asked for is still to be drawn.
      if (signal.aborted && !sent) await hooks.onRemoteId(hooks.remoteId);
      throw error;
    }
  }

  /** The encoded images, all or none. */
  async #fetch({ images }: Drawn, wanted: number, signal: AbortSignal): Promise<Uint8Array[]> {
    if (images.length !== wanted) {
      throw new AppError('invalid_output', `${PROVIDER} sent ${images.length} images where ${wanted} were asked for.`);
    }
    return await Promise.all(
      images.map(async (image) =>
        'url' in image ? await this.#images.fetch(image.url, signal) : this.#images.decode(image.b64_json),
      ),
    );
  }
}

/** Work with the model that draws it. */
type ModelWork = Work & { readonly model: string };
