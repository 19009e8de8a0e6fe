import { z } from 'zod';
import { MAX_SECONDS } from './remote-schema.ts';

const folder = z.string().min(1);
const text = z.string().min(1);
const share = z.number().min(0).max(1);
const pixels = z.int().min(0).max(16_384);

/** `[local_sdxl]`: Stable Diffusion XL on this machine. */
export const localSdxlSection = z
  .strictObject({
    model_dir: folder
      .optional()
      .describe('Folder of an SDXL export in ONNX; without it there is no generator local_sdxl')
      .meta({ examples: ['models/sdxl'] }),
    preset: z
      .enum(['auto', 'base', 'turbo', 'lightning', 'lcm', 'hyper'])
      .default('auto')
      .describe('How the model is sampled: as its export gives away, or as one of the known kinds of models'),
    device: z
      .enum(['cpu', 'cuda'])
      .default('cpu')
      .describe('What computes; cuda needs libraries that npm does not bring'),
    device_id: z.int().min(0).max(64).default(0).describe('Which GPU, from 0'),
    device_fallback: z.boolean().default(false).describe('Whether to render on the CPU when the GPU cannot be used'),
    threads: z
      .int()
      .min(1)
      .max(1024)
      .optional()
      .describe('Threads of the CPU; default: one for each physical core')
      .meta({ examples: [8] }),
    low_memory: z
      .boolean()
      .default(false)
      .describe('Keep only the networks of the stage under way in memory: slower, and much smaller'),
    max_side: z.int().min(64).max(4096).default(2048).describe('Longest side of an image, in pixels'),
    steps: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe('Steps when the request names none; default: those of the preset')
      .meta({ examples: [30] }),
    guidance_scale: z
      .number()
      .min(0)
      .max(100)
      .optional()
      .describe('Guidance when the request names none; default: that of the preset')
      .meta({ examples: [5] }),
    guidance_rescale: share.default(0).describe('How much of the contrast that guidance adds is taken back, 0 to 1'),
    strength: share
      .optional()
      .describe(
        'How much of a reference image is drawn anew when the request does not say; default: that of the preset',
      )
      .meta({ examples: [0.3] }),
    clip_skip: z.int().min(0).max(30).default(0).describe('Last layers of the text encoders that are left out'),
    negative_prompt: z
      .string()
      .optional()
      .describe('What images should not show when the request does not say')
      .meta({ examples: ['blurry, watermark, text'] }),
    prompt_2: text
      .optional()
      .describe('Prompt for the second text encoder; default: the request’s')
      .meta({ examples: ['satellite image, high resolution'] }),
    negative_prompt_2: z
      .string()
      .optional()
      .describe('Negative prompt for the second text encoder; default: the first one’s')
      .meta({ examples: ['blurry'] }),
    original_size: z
      .array(pixels)
      .length(2)
      .optional()
      .describe('Height and width that the model takes its picture’s original to have had; default: the image’s own')
      .meta({ examples: [[1024, 1024]] }),
    target_size: z
      .array(pixels)
      .length(2)
      .optional()
      .describe('Height and width that the model takes its picture to have; default: the image’s own')
      .meta({ examples: [[1024, 1024]] }),
    crop: z
      .array(pixels)
      .length(2)
      .default([0, 0])
      .describe('Top and left of the part of the original that the model takes its picture for'),
    controlnet_scale: z.number().min(0).max(10).default(1).describe('Weight of the depth map'),
    controlnet_start: share.default(0).describe('Share of the steps after which the depth map begins to count'),
    controlnet_end: share.default(1).describe('Share of the steps after which the depth map counts no more'),
    styles: z
      .record(text, folder)
      .default({})
      .describe('Folders of other exports, by the style that asks for them; what one lacks is taken from model_dir'),
    loras: z
      .array(
        z.strictObject({
          path: text.describe('As requests name it'),
          scale: z.number().describe('The scale that it was merged with'),
          model_dir: folder.describe('Folder of the export; what it lacks is taken from that of the model'),
        }),
      )
      .default([])
      .describe('Exports with a LoRA merged in, by the path and scale that ask for them'),
    stop_s: z
      .number()
      .min(0)
      .max(MAX_SECONDS)
      .default(120)
      .describe('Seconds that a cancelled render may take to finish its step before its process is killed'),
    concurrency: z.int().min(1).max(1).default(1).describe('Renders at the same time: one fills all cores'),
    timeout: z
      .number()
      .positive()
      .max(MAX_SECONDS)
      .default(3600)
      .describe('Seconds that a render may take: a CPU needs half an hour for a large image'),
  })
  .prefault({});
