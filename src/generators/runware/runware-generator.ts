import { hash, randomUUID } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import type { KeyReading } from '../../config/secrets.ts';
import type { OptionalField } from '../../messages/fields.ts';
import { MAX_SEED } from '../../messages/fields.ts';
import type { Clock } from '../../render/clock.ts';
import type {
  GeneratedImage,
  GenerateHooks,
  GeneratorCapabilities,
  GeneratorHealth,
  GeneratorModel,
  GeneratorSizes,
  ImageGenerator,
  LeftCost,
  Work,
} from '../generator.ts';
import { submitting } from '../remote/failures.ts';
import type { UpstreamHttp } from '../remote/http.ts';
import type { ImageReader } from '../remote/images.ts';
import { createImageReader } from '../remote/images.ts';
import { costOfLeft, runJob } from '../remote/job.ts';
import { RemoteLife } from '../remote/life.ts';
import type { RunwareApi } from './api.ts';
import { createRunwareApi } from './api.ts';
import type { JobParts } from './job.ts';
import { createRunwareJob } from './job.ts';
import { PROVIDER } from './provider.ts';
import { tasksOf } from './task.ts';

/** How often a job that was never confirmed may be looked for before it counts as lost. */
const LOOKS_FOR_UNSEEN = 5;

/** What the generator is built from. */
export interface RunwareOptions {
  readonly config: Config['runware'];
  readonly key: KeyReading;
  readonly http: UpstreamHttp;
  readonly clock: Clock;
}

/** Draws with any model that Runware hosts. Without a key it is disabled. */
export class RunwareGenerator implements ImageGenerator {
  readonly name = 'runware';
  readonly revision: string;
  readonly capabilities: GeneratorCapabilities;
  readonly sizes: GeneratorSizes = { default: { width: 1024, height: 1024 }, min: 128, max: 2048, multipleOf: 64 };
  readonly models: ReadonlyMap<string, GeneratorModel>;

  readonly #options: RunwareOptions;
  readonly #life: RemoteLife;
  readonly #api: RunwareApi;
  readonly #images: ImageReader;

  constructor(options: RunwareOptions) {
    const { config, key, http, clock } = options;
    const baseUrl = config.base_url;
    this.#options = options;
    this.#life = new RemoteLife(this.name, 'missing' in key ? key.missing : undefined);
    this.#api = createRunwareApi({ http, clock, baseUrl, key: 'key' in key ? key.key : undefined });
    this.#images = createImageReader({ http, clock, provider: PROVIDER, baseUrl, hosts: config.result_hosts });
    this.capabilities = { fields: new Set(fieldsOf(config)), seeds: true, maxImages: 10, previews: false };
    this.models = new Map(config.models.map((model) => [model, this]));
    const { model, controlnet_model, controlnet_weight, controlnet_mode } = config;
    const looks = JSON.stringify([model, controlnet_model, controlnet_weight, controlnet_mode]);
    this.revision = `runware ${hash('sha256', looks).slice(0, 16)}`;
  }

  /** There is nothing at the provider that would tell without a charge whether it draws for us. */
  async start(): Promise<void> {
    this.#life.throwIfDisabled();
    this.#life.become({ state: 'ready' });
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    return await this.#life.run(hooks.signal, async (signal) => {
      const files = await this.#run(work, hooks, signal);
      return files.map((bytes, index) => ({ kind: 'encoded', bytes, seed: (work.seed + index) % (MAX_SEED + 1) }));
    });
  }

  async costOf(work: Work, remoteId: string, signal: AbortSignal): Promise<LeftCost> {
    return await this.#life.run(signal, async (ending) => {
      const untold = { onCost: () => undefined };
      return await costOfLeft(this.#jobOf(work, untold, 1), remoteId, ending);
    });
  }

  health(): GeneratorHealth {
    return this.#life.health;
  }

  async close(): Promise<void> {
    await this.#life.close();
    this.#options.http.close();
  }

  async #run(work: Work, hooks: GenerateHooks, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { config, clock } = this.#options;
    const job = this.#jobOf(work, hooks, LOOKS_FOR_UNSEEN);
    const { poll_s, resubmit_unknown: resubmitUnknown } = config;
    return await submitting(resubmitUnknown, () =>
      runJob(job, { hooks, signal, clock, pollMs: poll_s * 1000, provider: PROVIDER, resubmitUnknown }),
    );
  }

  #jobOf(work: Work, hooks: JobParts['hooks'], looksForUnseen: number) {
    const { config } = this.#options;
    const model = config.models.find((name) => name === work.model) ?? config.model;
    return createRunwareJob({
      ...{ work, hooks, looksForUnseen },
      api: this.#api,
      images: this.#images,
      tasks: (ids) => tasksOf(work, ids, { ...config, model }),
      newId: randomUUID,
      pricePerImage: config.prices[model]?.per_image,
    });
  }
}

function fieldsOf({ negative_prompts, controlnet_model }: Config['runware']): OptionalField[] {
  const fields: OptionalField[] = ['steps', 'guidance_scale', 'strength', 'loras', 'reference_image', 'mask'];
  if (negative_prompts) fields.push('negative_prompt');
  if (controlnet_model !== undefined) fields.push('depth_map');
  return fields;
}
