import type { Config } from '../../config/schema.ts';
import type { Work } from '../generator.ts';
import type { Variant } from './model/variants.ts';
import type { RenderJob } from './process/protocol.ts';

/** Seeds wrap here. */
const SEEDS = 2 ** 32;

/** Every choice for a work: the request's, else the operator's, else the recipe's. */
export function jobFor(work: Work, { recipe }: Variant, config: Config['local_sdxl']): RenderJob {
  return {
    prompt: work.prompt,
    prompt2: config.prompt_2,
    negativePrompt: work.negativePrompt ?? config.negative_prompt,
    negativePrompt2: config.negative_prompt_2,
    width: work.width,
    height: work.height,
    steps: work.steps ?? recipe.steps,
    guidanceScale: work.guidanceScale ?? config.guidance_scale ?? recipe.guidanceScale,
    guidanceRescale: config.guidance_rescale,
    clipSkip: config.clip_skip,
    strength: work.strength ?? config.strength ?? recipe.strength,
    eta: recipe.eta,
    scheduler: recipe.scheduler,
    seeds: Array.from({ length: work.numImages }, (_image, index) => (work.seed + index) % SEEDS),
    control: { scale: config.controlnet_scale, start: config.controlnet_start, end: config.controlnet_end },
    originalSize: pair(config.original_size),
    targetSize: pair(config.target_size),
    crop: pair(config.crop) ?? [0, 0],
  };
}

function pair(numbers: readonly number[] | undefined): readonly [number, number] | undefined {
  const [first, second] = numbers ?? [];
  return first === undefined || second === undefined ? undefined : [first, second];
}
