import { hash } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import type { KeyReading } from '../../config/secrets.ts';
import { Secret } from '../../config/secrets.ts';
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
import type { UpstreamHttp } from '../remote/http.ts';
import { createImageReader } from '../remote/images.ts';
import { costOfLeft, isMarker, runJob } from '../remote/job.ts';
import { RemoteLife } from '../remote/life.ts';
import { createInputSender } from './inputs.ts';
import type { FalJobParts } from './job.ts';
import { createFalJob } from './job.ts';
import type { FalPreset } from './presets.ts';
import { createPresets } from './presets.ts';
import { PROVIDER } from './provider.ts';
import { createFalQueue } from './queue.ts';

/** What the generator is built from. */
export interface FalAIOptions {
  readonly config: Pick<Config, 'fal' | 'fal_comfy' | 'falai_lightning_i2i'>;
  readonly key: KeyReading;
  readonly http: UpstreamHttp;
  readonly clock: Clock;
}

/** Makes images by the queue of fal.ai. Its presets and endpoints are `models`. Without a key it is disabled. */
export class FalAIGenerator implements ImageGenerator {
  readonly name = 'fal';
  readonly revision: string;
  readonly capabilities: GeneratorCapabilities;
  readonly sizes: GeneratorSizes;
  readonly models: ReadonlyMap<string, GeneratorModel>;

  readonly #options: FalAIOptions;
  readonly #presets: { readonly usual: FalPreset; readonly byName: ReadonlyMap<string, FalPreset> };
  readonly #parts: FalJobParts;
  readonly #life: RemoteLife;

  constructor(options: FalAIOptions) {
    this.#options = options;
    this.#presets = createPresets(options.config);
    this.#parts = connect(options);
    this.revision = revisionOf(options.config);
    this.capabilities = this.#presets.usual.capabilities;
    this.sizes = this.#presets.usual.sizes;
    this.models = this.#presets.byName;
    this.#life = new RemoteLife(this.name, 'missing' in options.key ? options.key.missing : undefined);
  }

  /** There is nothing at the provider that would tell without a charge whether the key is right. */
  async start(): Promise<void> {
    this.#life.throwIfDisabled();
    this.#life.become({ state: 'ready' });
  }

  async generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    const { clock, config } = this.#options;
    return await this.#life.run(hooks.signal, async (signal) => {
      const job = createFalJob(work, this.#presetOf(work), hooks, this.#parts);
      const { poll_s, resubmit_unknown: resubmitUnknown } = config.fal;
      return await runJob(job, { hooks, signal, clock, pollMs: poll_s * 1000, provider: PROVIDER, resubmitUnknown });
    });
  }

  submitsAgain(remoteId: string): boolean {
    return isMarker(remoteId) && this.#options.config.fal.resubmit_unknown;
  }

  async costOf(work: Work, remoteId: string, signal: AbortSignal): Promise<LeftCost> {
    return await this.#life.run(signal, async (ending) => {
      const job = createFalJob(work, this.#presetOf(work), { onCost: () => undefined }, this.#parts);
      return await costOfLeft(job, remoteId, ending);
    });
  }

  health(): GeneratorHealth {
    return this.#life.health;
  }

  async close(): Promise<void> {
    await this.#life.close();
    this.#options.http.close();
  }

  #presetOf({ model = '' }: Work): FalPreset {
    const { usual, byName } = this.#presets;
    return byName.get(model) ?? usual;
  }
}

function connect({ config: { fal }, key: reading, http, clock }: FalAIOptions): FalJobParts {
  // Without a key the generator is disabled, and none of this is ever used.
  const key = 'key' in reading ? reading.key : new Secret('');
  const inlineBytes = fal.inline_kb * 1024;
  return {
    config: fal,
    clock,
    queue: createFalQueue({ http, clock, key, baseUrl: fal.base_url }),
    images: createImageReader({ http, clock, provider: PROVIDER, baseUrl: fal.base_url, hosts: fal.result_hosts }),
    sendInput: createInputSender({ http, clock, key, inlineBytes, uploadUrl: fal.upload_url, hosts: fal.result_hosts }),
  };
}

/** Everything of the configuration that decides how images look. */
function revisionOf({ fal, fal_comfy, falai_lightning_i2i }: FalAIOptions['config']): string {
  const { preset, endpoint, mapping, arguments: always } = fal;
  const looks = JSON.stringify([preset, endpoint, mapping, always, fal_comfy, falai_lightning_i2i]);
  return `fal ${hash('sha256', looks).slice(0, 16)}`;
}
