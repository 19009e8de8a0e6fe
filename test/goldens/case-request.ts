import { join } from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';
import type { RawPixels } from '../../src/generators/generator.ts';
import type { ModelFolder } from '../../src/generators/local-sdxl/model/model-folder.ts';
import type { Batch, PipelineRequest } from '../../src/generators/local-sdxl/pipeline/pipeline.ts';
import type { SchedulerConfig } from '../../src/generators/local-sdxl/schedulers/config.ts';
import { parseSchedulerConfig } from '../../src/generators/local-sdxl/schedulers/config.ts';
import { TorchGenerator } from '../../src/generators/local-sdxl/torch-random.ts';

const pair = z.tuple([z.number(), z.number()]).nullish();
const seed = z.union([z.number(), z.bigint()]);

/** A case's parameters, by diffusers' names. Strict: a parameter that we do not know must not be left out quietly. */
export const requestSchema = z.strictObject({
  width: z.number(),
  height: z.number(),
  prompt: z.string(),
  prompt_2: z.string().nullish(),
  negative_prompt: z.string().nullish(),
  negative_prompt_2: z.string().nullish(),
  num_inference_steps: z.number(),
  guidance_scale: z.number().default(5),
  guidance_rescale: z.number().default(0),
  clip_skip: z.number().nullish(),
  eta: z.number().default(0),
  num_images: z.number().default(1),
  seed: seed.optional(),
  seeds: z.array(seed).optional(),
  original_size: pair,
  target_size: pair,
  crops_coords_top_left: pair,
  negative_original_size: pair,
  negative_target_size: pair,
  negative_crops_coords_top_left: pair,
  image: z.string().optional(),
  strength: z.number().optional(),
  control_image: z.string().optional(),
  controlnet_conditioning_scale: z.number().optional(),
  control_guidance_start: z.number().default(0),
  control_guidance_end: z.number().default(1),
});

/** The sampler of a case. */
export const schedulerSchema = z.object({
  class: z.string(),
  overrides: z.record(z.string(), z.unknown()).default({}),
  config: z.record(z.string(), z.unknown()),
});

/** What of `case.json` says what to render. */
export interface CaseRequest {
  readonly pipeline: string;
  readonly request: z.output<typeof requestSchema>;
  readonly scheduler: z.output<typeof schedulerSchema>;
}

/** A case as the pipeline takes it; noise comes from its seeds. `folder` holds its images. */
export async function pipelineRequestOf(
  { pipeline, request, scheduler }: CaseRequest,
  model: ModelFolder,
  folder: string,
): Promise<PipelineRequest> {
  const { image, control_image } = request;
  // Defaults of the pipelines: StableDiffusionXL…Img2Img and …ControlNet…Img2Img differ.
  const bothImages = image !== undefined && control_image !== undefined;
  if (pipeline.includes('img2img') !== (image !== undefined))
    throw new Error(`a case of ${pipeline} without its image`);
  return {
    width: request.width,
    height: request.height,
    prompt: request.prompt,
    prompt2: request.prompt_2 ?? undefined,
    negativePrompt: request.negative_prompt ?? undefined,
    negativePrompt2: request.negative_prompt_2 ?? undefined,
    clipSkip: request.clip_skip ?? undefined,
    originalSize: request.original_size ?? undefined,
    targetSize: request.target_size ?? undefined,
    crop: request.crops_coords_top_left ?? undefined,
    negativeOriginalSize: request.negative_original_size ?? undefined,
    negativeTargetSize: request.negative_target_size ?? undefined,
    negativeCrop: request.negative_crops_coords_top_left ?? undefined,
    steps: request.num_inference_steps,
    guidanceScale: request.guidance_scale,
    guidanceRescale: request.guidance_rescale,
    eta: request.eta,
    scheduler: schedulerConfigOf(scheduler, model.scheduler),
    strength: request.strength ?? (bothImages ? 0.8 : 0.3),
    reference: image === undefined ? undefined : await readRgb(join(folder, image)),
    depth: control_image === undefined ? undefined : await readRgb(join(folder, control_image)),
    control: {
      scale: request.controlnet_conditioning_scale ?? (bothImages ? 0.8 : 1),
      start: request.control_guidance_start,
      end: request.control_guidance_end,
    },
    batches: [batchOf(request)],
  };
}

/** The model's own file with what the case changes; the case's complete config only where it changes the class. */
function schedulerConfigOf(
  { class: name, overrides, config }: z.output<typeof schedulerSchema>,
  own: SchedulerConfig,
): SchedulerConfig {
  if (name !== own._class_name) return parseSchedulerConfig('{}', { ...config, _class_name: name });
  return { ...own, ...parseSchedulerConfig('{}', { ...overrides, _class_name: name }) };
}

/** One generator draws for the whole batch, or each image has its own. */
function batchOf({ seed, seeds, num_images }: z.output<typeof requestSchema>): Batch {
  const generators = (seeds ?? [seed ?? 0]).map((one) => new TorchGenerator(one));
  return {
    images: num_images,
    noise(out) {
      const length = out.length / generators.length;
      for (const [i, generator] of generators.entries()) generator.randn(out.subarray(i * length, (i + 1) * length));
    },
  };
}

async function readRgb(path: string): Promise<RawPixels> {
  const image = sharp(path).removeAlpha().toColourspace('srgb').raw();
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: 3 };
}
