import type { Config } from '../config/schema.ts';
import type { Clock } from '../render/clock.ts';
import type { Drawing } from '../store/images.ts';
import type { ImageGenerator } from './generator.ts';
import { MockImageGenerator } from './mock/mock-generator.ts';

/** Every generator that this server has; each has a block of the same name in the configuration. */
export const GENERATOR_NAMES = ['mock'] as const satisfies readonly (keyof Config)[];
/** A name of `GENERATOR_NAMES`. */
export type GeneratorName = (typeof GENERATOR_NAMES)[number];

/** What generators are built from. */
export interface GeneratorParts {
  readonly config: Config;
  readonly drawing: Drawing;
  readonly clock: Clock;
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
} as const satisfies Record<GeneratorName, GeneratorFactory>;

/** How the server runs a generator. */
export interface GeneratorSettings {
  /** Works at the same time. */
  readonly concurrency: number;
  /** Default of a render's time from its first start. */
  readonly timeoutMs: number;
}

/** A generator's settings from its own block, else from `[generator]`. */
export function generatorSettings(config: Config, name: GeneratorName): GeneratorSettings {
  const { concurrency, timeout } = config[name];
  return { concurrency, timeoutMs: (timeout ?? config.generator.timeout) * 1000 };
}
