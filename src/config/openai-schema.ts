import { z } from 'zod';
import { keyFile, pricesAsOf, remoteKeys, resultHosts } from './remote-schema.ts';

const usd = z.number().min(0);

const tokenPrices = z.strictObject({
  text_input: usd.optional(),
  image_input: usd.optional(),
  text_output: usd.optional(),
  image_output: usd.optional(),
  per_image: usd.optional(),
});

/** What a model costs: USD for a million tokens of each kind, and for each image. */
export type TokenPrices = z.infer<typeof tokenPrices>;

/** `[openai]`. */
export const openaiSection = z
  .strictObject({
    key_file: keyFile('OPENAI_API_KEY', '/run/secrets/openai_key'),
    base_url: z
      .url({ protocol: /^https?$/ })
      .default('https://api.openai.com/v1')
      .describe('Where the API is, for compatible servers too; plain http on this machine only'),
    model: z.string().min(1).default('gpt-image-2.5-flare').describe('Model that draws'),
    models: z
      .array(z.string().min(1))
      .default([])
      .describe('Other models, which requests may name as generator openai/MODEL'),
    quality: z
      .enum(['auto', 'low', 'medium', 'high', 'xhigh', 'max'])
      .default('medium')
      .describe('Quality of a request that names no steps; xhigh and max from GPT Image 2.5 on'),
    moderation: z.enum(['auto', 'low']).default('auto').describe('How strictly the provider looks at the contents'),
    partial_images: z
      .int()
      .min(0)
      .max(3)
      .default(2)
      .describe('Previews of an image that somebody watches; each costs some 100 tokens of output'),
    result_hosts: resultHosts([]),
    prices: z
      .record(z.string().min(1), tokenPrices)
      .default({
        'gpt-image-1-mini': { text_input: 2, image_input: 2.5, image_output: 8 },
        'gpt-image-1.5': { text_input: 5, image_input: 8, text_output: 10, image_output: 32 },
        'gpt-image-2': { text_input: 5, image_input: 8, image_output: 30 },
      })
      .describe(
        'USD by model, for a million tokens of each kind and for each image; a name stands for all that begin with it',
      ),
    prices_as_of: pricesAsOf('2026-11-24'),
    ...remoteKeys,
  })
  .prefault({});
