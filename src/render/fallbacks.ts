import type { AppError } from '../errors.ts';
import type { GeneratorChoice, GeneratorModel, ServedGenerator } from '../generators/generator.ts';
import type { OptionalField } from '../messages/fields.ts';
import { OPTIONAL_FIELDS } from '../messages/fields.ts';
import type { Breaker } from './breaker.ts';
import type { ClaimedWork, Fallback, WorkSpec } from './records.ts';
import { resolveSize, sharedKey } from './resolve.ts';

/** The fallback that is no generator: stored images of what is nearest. */
export const NEAREST = 'nearest';

/** What no other generator may answer, or can. */
const NEVER: ReadonlySet<string> = new Set(['content_rejected', 'render_timeout', 'invalid_image', 'image_evicted']);

const SPEC_KEYS = {
  negative_prompt: 'negativePrompt',
  steps: 'steps',
  guidance_scale: 'guidanceScale',
  strength: 'strength',
  style: 'style',
  loras: 'loras',
  reference_image: 'referenceImage',
  depth_map: 'depthMap',
  mask: 'mask',
} as const satisfies Record<OptionalField, keyof WorkSpec>;

/** What a choice is called in the configuration: each model of a generator is one of its own. */
export function nameOf({ generator, model }: GeneratorChoice): string {
  return model === undefined ? generator : `${generator}/${model}`;
}

/** Options of `createFallbacks`. */
export interface FallbackOptions {
  /** `[generator] fallback`, in its order. */
  readonly chain: readonly GeneratorChoice[];
  readonly generators: ReadonlyMap<string, ServedGenerator>;
  breakerOf(generator: string): Pick<Breaker, 'refusal'> | undefined;
}

/** Who may answer in the place of a generator that failed. */
export function createFallbacks({ chain, generators, breakerOf }: FallbackOptions) {
  /** What the generator, or the model of it that is meant, can do. */
  function abilitiesOf({ generator: name, model }: GeneratorChoice): GeneratorModel | undefined {
    const generator = generators.get(name)?.generator;
    return model === undefined ? generator : generator?.models?.get(model);
  }

  function canTake(choice: GeneratorChoice, spec: WorkSpec): boolean {
    const { generator: name } = choice;
    if (name === NEAREST) return true;
    const abilities = abilitiesOf(choice);
    if (abilities === undefined || breakerOf(name)?.refusal !== undefined) return false;
    const lacking = [...(abilities.capabilities.required ?? [])].some((field) => spec[SPEC_KEYS[field]] === undefined);
    const disabled = generators.get(name)?.generator.health().state === 'disabled';
    return !lacking && !disabled && abilities.capabilities.maxImages >= spec.numImages;
  }

  return {
    /** Whether this generator's work could be done by another one now. */
    hasFor: (generator: string, spec: WorkSpec) =>
      chain.some((choice) => choice.generator !== generator && canTake(choice, spec)),

    /** Those that may answer now, in the order of the chain. `tried` has names of choices. */
    candidates(error: AppError, spec: WorkSpec, tried: ReadonlySet<string>): GeneratorChoice[] {
      if (NEVER.has(error.code)) return [];
      return chain.filter((choice) => !tried.has(nameOf(choice)) && canTake(choice, spec));
    },

    /** The work as this generator is to draw it: without what it cannot honour, in a size that it renders. */
    fit({ spec, shared }: Pick<ClaimedWork, 'spec' | 'shared'>, choice: GeneratorChoice): Fallback | undefined {
      const { generator: name, model } = choice;
      const abilities = abilitiesOf(choice);
      if (abilities === undefined) return undefined;
      const { capabilities, sizes } = abilities;
      const revision = generators.get(name)?.generator.revision ?? name;
      const lacking = OPTIONAL_FIELDS.filter(
        (field) => spec[SPEC_KEYS[field]] !== undefined && !capabilities.fields.has(field),
      );
      const without = Object.fromEntries(lacking.map((field) => [SPEC_KEYS[field], undefined]));
      const fitted: WorkSpec = { ...spec, ...without, ...resolveSize(sizes, spec), model };
      // Without a seed, each of its images is another one.
      const cacheKey = shared && capabilities.seeds ? sharedKey(fitted, { generator: name, revision }) : undefined;
      return { generator: name, spec: fitted, ignored: capabilities.seeds ? lacking : [...lacking, 'seed'], cacheKey };
    },
  };
}

/** Fallbacks as `createFallbacks` makes them. */
export type Fallbacks = ReturnType<typeof createFallbacks>;
