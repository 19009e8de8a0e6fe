import { z } from 'zod';
import { keyFile, pricesAsOf, remoteKeys, resultHosts } from './remote-schema.ts';

const air = z.string().regex(/^[\w.-]+:[\w.-]+@[\w.-]+$/);

/** `[runware]`. */
export const runwareSection = z
  .strictObject({
    key_file: keyFile('RUNWARE_API_KEY', '/run/secrets/runware_key'),
    base_url: z
      .url({ protocol: /^https?$/ })
      .default('https://api.runware.ai/v1')
      .describe('Where the API is; plain http on this machine only'),
    model: air.default('runware:101@1').describe('Model that draws, as an AIR identifier; 101@1 is FLUX.1 [dev]'),
    models: z
      .array(air)
      .default([])
      .describe('Other models that take the same, which requests may name as generator runware/MODEL'),
    controlnet_model: air
      .optional()
      .describe('ControlNet for depth maps, of the model’s family; without it depth maps are refused')
      .meta({ examples: ['runware:27@1'] }),
    controlnet_weight: z.number().min(0).max(1).default(1).describe('How strictly the depth map is followed'),
    controlnet_mode: z
      .enum(['balanced', 'prompt', 'controlnet'])
      .default('balanced')
      .describe('Which is stronger, the prompt or the depth map'),
    negative_prompts: z
      .boolean()
      .default(true)
      .describe('Whether the model heeds negative prompts; else they are refused'),
    check_content: z.boolean().default(false).describe('Whether the provider looks for unsafe images, which then fail'),
    result_hosts: resultHosts(['im.runware.ai']),
    poll_s: z.number().min(0.05).max(60).default(1).describe('Seconds between two looks at a job'),
    prices: z
      .record(air, z.strictObject({ per_image: z.number().min(0) }))
      .default({})
      .describe('USD for an image by model, used when an answer states no cost'),
    prices_as_of: pricesAsOf('2026-11-24'),
    ...remoteKeys,
  })
  .prefault({});
