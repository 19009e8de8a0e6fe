import { z } from 'zod';
import { OPTIONAL_FIELDS } from '../messages/fields.ts';

/** A day, in s: longer than anything here may take. */
export const MAX_SECONDS = 86_400;

/** What every generator behind a provider has. */
export const remoteKeys = {
  concurrency: z.int().min(1).max(256).default(2).describe('Works at the provider at the same time'),
  timeout: z
    .number()
    .positive()
    .max(MAX_SECONDS)
    .optional()
    .describe('Seconds that a render may take; default: that of [generator]')
    .meta({ examples: [60] }),
  rate_limit: z
    .number()
    .positive()
    .max(100_000)
    .optional()
    .describe('Most works a minute that the provider is asked for; without it, as many as come')
    .meta({ examples: [30] }),
  daily_spend_usd: z
    .number()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('USD that a day (UTC) may cost; beyond it work is refused before it is submitted')
    .meta({ examples: [5] }),
  resubmit_unknown: z
    .boolean()
    .default(false)
    .describe('Whether to ask again when nobody knows if the provider took the work, which may be paid twice'),
};

/** Where a key comes from that should not stand in the environment. */
export function keyFile(variable: string, example: string) {
  return z
    .string()
    .min(1)
    .optional()
    .describe(`File that holds the key and nothing else; ${variable} of the environment is stronger`)
    .meta({ examples: [example] });
}

/** Hosts of images, as `*.example.org` or a full name. */
export function resultHosts(hosts: string[]) {
  return z
    .array(
      z
        .string()
        .regex(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/i)
        .meta({ expects: 'a host name without scheme and port' }),
    )
    .default(hosts)
    .describe('Hosts that images may be fetched from, by https; *.example.org stands for all below');
}

/** The day that prices were looked up on. */
export function pricesAsOf(date: string) {
  return z.iso
    .date()
    .default(date)
    .meta({ expects: 'a date, as in "2026-05-25"' })
    .describe('Day that the prices were looked up on');
}

/** Request fields that `[fal] mapping` may name, with two of our own: `size` and `num_images`. */
export const FAL_FIELDS = [
  'prompt',
  'negative_prompt',
  'seed',
  'size',
  'width',
  'height',
  'num_images',
  ...OPTIONAL_FIELDS.filter((field) => field !== 'negative_prompt'),
] as const;

const falEndpoint = z
  .string()
  .regex(/^[\w.-]+\/[\w.-]+(\/[\w.-]+)*$/)
  .meta({ expects: 'an endpoint, as in "fal-ai/flux/dev"' });

/** `[fal]`. */
export const falSection = z
  .strictObject({
    key_file: keyFile('FAL_KEY', '/run/secrets/fal_key'),
    preset: z
      .enum(['generic', 'fal_comfy', 'falai_lightning_i2i'])
      .default('generic')
      .describe('What requests for fal without more mean: endpoint with mapping, or one of the sections below'),
    endpoint: falEndpoint.default('fal-ai/flux/schnell').describe('Endpoint of the preset generic'),
    endpoints: z
      .array(falEndpoint)
      .default([])
      .describe('Other endpoints with the same mapping, which requests may name as generator fal/ENDPOINT'),
    mapping: z
      .partialRecord(z.enum(FAL_FIELDS), z.string().min(1))
      .default({
        size: 'image_size',
        steps: 'num_inference_steps',
        guidance_scale: 'guidance_scale',
      })
      .describe(
        'The endpoint’s argument for each field; prompt, seed and num_images keep their names unless they stand here, ' +
          'and fields that are not here are refused',
      )
      .meta({ expects: `a table with text for any of ${FAL_FIELDS.join(', ')}` }),
    arguments: z
      .record(z.string().min(1), z.json())
      .default({ output_format: 'png' })
      .describe('Arguments that are always sent as they are'),
    base_url: z
      .url({ protocol: /^https?$/ })
      .default('https://queue.fal.run')
      .describe('Where the queue is; plain http on this machine only'),
    upload_url: z
      .url({ protocol: /^https?$/ })
      .default('https://rest.fal.ai')
      .describe('Where input images are uploaded; plain http on this machine only'),
    result_hosts: resultHosts(['fal.media', '*.fal.media']),
    inline_kb: z
      .int()
      .min(0)
      .max(8192)
      .default(1024)
      .describe('Largest input image that is sent within the request, in KiB; larger ones are uploaded before'),
    poll_s: z.number().min(0.05).max(60).default(0.5).describe('Seconds between two looks at a job'),
    prices: z
      .record(
        z.string().min(1),
        z.strictObject({
          per_image: z.number().min(0).optional(),
          per_megapixel: z.number().min(0).optional(),
          per_second: z.number().min(0).optional(),
        }),
      )
      .default({
        'fal-ai/flux/schnell': { per_megapixel: 0.003 },
        'fal-ai/flux/dev': { per_megapixel: 0.025 },
      })
      .describe(
        'USD by endpoint: for each image, each megapixel (of 1024 × 1024, rounded up) and each second of inference',
      )
      .meta({ expects: 'a table by endpoint, each with per_image, per_megapixel or per_second in USD' }),
    prices_as_of: pricesAsOf('2026-05-25'),
    ...remoteKeys,
  })
  .prefault({});

/** `[fal_comfy]`. */
export const falComfySection = z
  .strictObject({
    endpoint: falEndpoint
      .default('comfy/RKelln/experimancexilightningdepth')
      .describe('ComfyUI workflow at fal that the preset fal_comfy runs'),
    model_url: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe('Checkpoint that the workflow loads; without it, its own')
      .meta({ examples: ['https://example.org/model.safetensors'] }),
    lora_url: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe('LoRA of the eras that have none of their own; without it, the workflow’s')
      .meta({ examples: ['https://example.org/lora.safetensors'] }),
    lora_strength: z.number().min(0).max(2).default(1).describe('Strength of the LoRA, before its era changes it'),
  })
  .prefault({});

/** `[falai_lightning_i2i]`. */
export const falLightningSection = z
  .strictObject({
    endpoint: falEndpoint
      .default('fal-ai/fast-lightning-sdxl/image-to-image')
      .describe('Endpoint that the preset falai_lightning_i2i asks'),
    strength: z.number().min(0).max(1).default(0.4).describe('How much of the reference image changes'),
    num_inference_steps: z.int().min(1).max(50).default(4).describe('Steps of a request that names none'),
    guidance_rescale: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('Rescales the guidance; without it, the endpoint’s own')
      .meta({ examples: [0.7] }),
    format: z.enum(['jpeg', 'png']).default('jpeg').describe('Format in which the image comes'),
    enable_safety_checker: z.boolean().default(false).describe('Whether the provider looks for unsafe images'),
    safety_checker_version: z.enum(['v1', 'v2']).default('v2').describe('Which of its checkers looks'),
    expand_prompt: z.boolean().default(false).describe('Whether the provider may add to the prompt'),
    preserve_aspect_ratio: z.boolean().default(false).describe('Whether the reference image keeps its shape'),
    crop_output: z.boolean().default(false).describe('Whether the image is cropped to the size'),
  })
  .prefault({});

/** `[vastai]`. */
export const vastaiSection = z
  .strictObject({
    base_url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Address of the model server on the rented GPU; without it the generator is disabled')
      .meta({ examples: ['http://203.0.113.7:41234'] }),
    model: z.enum(['lightning', 'hyper', 'base']).default('lightning').describe('Model of the server'),
    controlnet: z.enum(['sdxl_small', 'llite']).default('sdxl_small').describe('ControlNet for the depth map'),
    controlnet_strength: z.number().min(0).max(2).default(0.8).describe('How strictly the depth map is followed'),
    control_guidance_start: z.number().min(0).max(1).default(0).describe('Part of the steps at which the map begins'),
    control_guidance_end: z.number().min(0).max(1).default(1).describe('Part of the steps at which the map ends'),
    scheduler: z
      .enum(['auto', 'euler', 'euler_a', 'dpm_multi', 'dpm_single', 'ddim', 'lcm'])
      .default('auto')
      .describe('Scheduler of the steps'),
    steps: z.int().min(1).max(50).default(6).describe('Steps of a request that names none'),
    guidance_scale: z.number().min(0.1).max(20).default(2).describe('Guidance of a request that names none'),
    enable_deepcache: z.boolean().default(false).describe('Whether the server may skip parts of steps'),
    use_jpeg: z.boolean().default(true).describe('Whether images come as JPEG, which is smaller, or as PNG'),
    check_s: z
      .number()
      .min(1)
      .max(3600)
      .default(10)
      .describe('Seconds between two looks at a server that is not ready'),
    usd_per_hour: z.number().min(0).default(0).describe('Rent of the GPU, which prices the time of each image'),
    ...remoteKeys,
    concurrency: remoteKeys.concurrency.default(1),
  })
  .prefault({});
