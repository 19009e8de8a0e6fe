import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { keyOf } from '../config/secrets.ts';
import { AppError } from '../errors.ts';
import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { Images } from '../store/images.ts';
import { chooseGenerator } from './aliases.ts';
import { FalAIGenerator } from './fal/fal-generator.ts';
import type { ImageGenerator, ServedGenerator } from './generator.ts';
import { LocalSDXLGenerator } from './local-sdxl/local-sdxl-generator.ts';
import { MockImageGenerator } from './mock/mock-generator.ts';
import { OpenAIGenerator } from './openai/openai-generator.ts';
import type { ObserveUpstream } from './remote/http.ts';
import { createUpstreamHttp } from './remote/http.ts';
import { RunwareGenerator } from './runware/runware-generator.ts';
import { VastAIGenerator } from './vastai/vastai-generator.ts';

/** Every generator that this server has; each has a block of the same name in the configuration. */
export const GENERATOR_NAMES = [
  'mock',
  'local_sdxl',
  'fal',
  'vastai',
  'openai',
  'runware',
] as const satisfies readonly (keyof Config)[];
/** A name of `GENERATOR_NAMES`. */
export type GeneratorName = (typeof GENERATOR_NAMES)[number];

/** What generators are built from. */
export interface GeneratorParts {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly drawing: Images;
  readonly clock: Clock;
  /** Hears of every request to a provider. */
  readonly observeUpstream: ObserveUpstream;
  readonly log: Logger;
  /** Hears how long a step of a local model took, in s. */
  observeStep(seconds: number): void;
  /** Hears that a generator's health has changed since it was started. */
  onHealth(name: GeneratorName): void;
}

/** Builds a generator without starting it. */
export type GeneratorFactory = (parts: GeneratorParts) => ImageGenerator;

/** The table of generators: one row each. */
export const generatorFactories = {
  mock: ({ config: { mock }, drawing, clock }) =>
    new MockImageGenerator({
      style: mock.style,
      imagesDir: mock.images_dir,
      delayMs: mock.delay_s * 1000,
      steps: mock.steps,
      drawing,
      clock,
    }),
  local_sdxl: ({ config, drawing, clock, log, observeStep, onHealth }) =>
    new LocalSDXLGenerator({
      config: config.local_sdxl,
      required: isDefault('local_sdxl', config),
      drawing,
      clock,
      log,
      observeStep,
      onHealth: () => onHealth('local_sdxl'),
    }),
  fal: ({ config, secrets, clock, observeUpstream: observe }) =>
    new FalAIGenerator({
      config,
      key: keyOf(secrets, 'fal'),
      http: createUpstreamHttp({ generator: 'fal', provider: 'fal.ai', clock, observe }),
      clock,
    }),
  vastai: ({ config: { vastai }, clock, observeUpstream: observe }) =>
    new VastAIGenerator({
      config: vastai,
      http: createUpstreamHttp({ generator: 'vastai', provider: 'The model server', clock, observe }),
      clock,
    }),
  openai: ({ config, secrets, drawing, clock, observeUpstream: observe }) =>
    new OpenAIGenerator({
      config: config.openai,
      key: keyOf(secrets, 'openai'),
      http: createUpstreamHttp({ generator: 'openai', provider: 'OpenAI', clock, observe }),
      drawing,
      clock,
    }),
  runware: ({ config, secrets, clock, observeUpstream: observe }) =>
    new RunwareGenerator({
      config: config.runware,
      key: keyOf(secrets, 'runware'),
      http: createUpstreamHttp({ generator: 'runware', provider: 'Runware', clock, observe }),
      clock,
    }),
} as const satisfies Record<GeneratorName, GeneratorFactory>;

/** How the server runs a generator. */
export type GeneratorSettings = Omit<ServedGenerator, 'generator'>;

/** A generator's settings from its own block, else from `[generator]`. */
export function generatorSettings(config: Config, name: GeneratorName): GeneratorSettings {
  const { concurrency, timeout, ...block } = config[name];
  return {
    concurrency,
    timeoutMs: (timeout ?? config.generator.timeout) * 1000,
    ratePerMinute: 'rate_limit' in block ? block.rate_limit : undefined,
    dailySpendUsd: 'daily_spend_usd' in block ? block.daily_spend_usd : undefined,
  };
}

/** Whether requests that name no generator go to this one. */
function isDefault(name: GeneratorName, config: Config): boolean {
  return chooseGenerator(config.generator.strategy).generator === name;
}

/**
 * Builds every generator; `others` take the place of those of their name, or stand beside them.
 * Throws `config_invalid` when `[generator] strategy` names none, or one that lacks its key or address.
 */
export function createGenerators(
  parts: GeneratorParts,
  others: ReadonlyMap<string, ImageGenerator> = new Map(),
): Map<string, ServedGenerator> {
  const { config } = parts;
  const served = new Map<string, ServedGenerator>();
  for (const name of GENERATOR_NAMES) {
    served.set(name, { generator: generatorFactories[name](parts), ...generatorSettings(config, name) });
  }
  for (const [name, generator] of others) {
    served.set(name, { generator, concurrency: 1, timeoutMs: config.generator.timeout * 1000 });
  }
  const { strategy } = config.generator;
  const { generator: name, model } = chooseGenerator(strategy);
  const chosen = served.get(name)?.generator;
  const refuse = (reason: string) => new AppError('config_invalid', `[generator] strategy = "${strategy}": ${reason}`);
  if (chosen === undefined) throw refuse(`must be one of ${[...served.keys()].join(', ')}`);
  if (model !== undefined && chosen.models?.has(model) !== true) throw refuse(`${name} has no model of this name`);
  const { state, reason = 'it is disabled' } = chosen.health();
  if (state === 'disabled') throw refuse(`the generator ${name} cannot be used. ${reason}`);
  const bad = config.generator.fallback.find(
    (fallback) => fallback !== 'nearest' && !served.has(chooseGenerator(fallback).generator),
  );
  if (bad !== undefined) {
    const known = [...served.keys(), 'nearest'].join(', ');
    throw new AppError('config_invalid', `[generator] fallback has "${bad}": each must be one of ${known}`);
  }
  return served;
}
