import { z } from 'zod';
import { imageFormat, renderRequestFields } from './fields.ts';
import { attemptOutcome, generatorState, imageId, publicError, renderStatus, timestamp, timings } from './outputs.ts';

/** An input image as results show it: by content, never by its bytes. */
const storedInput = z.object({ image_id: imageId });

const { reference_image: _r, depth_map: _d, mask: _m, request_id: _i, ...plainFields } = renderRequestFields;
type Plain = typeof plainFields;

/** The request as it was accepted: what the caller set, with input images by content. */
export const acceptedRequest = z.object({
  ...(Object.fromEntries(
    Object.entries(plainFields).map(([name, { schema }]) => [name, name === 'prompt' ? schema : schema.optional()]),
  ) as { [F in Exclude<keyof Plain, 'prompt'>]: z.ZodOptional<Plain[F]['schema']> } & {
    prompt: Plain['prompt']['schema'];
  }),
  reference_image: storedInput.optional(),
  depth_map: storedInput.optional(),
  mask: storedInput.optional(),
});
/** A request of `acceptedRequest`. */
export type AcceptedRequest = z.infer<typeof acceptedRequest>;

/** A finished image of a render. */
export const renderedImage = z
  .object({
    image_id: imageId,
    url: z.string(),
    uri: z.string().optional(),
    width: z.int(),
    height: z.int(),
    format: imageFormat,
    bytes: z.int(),
    seed: z.int(),
  })
  .meta({ id: 'RenderedImage' });

/** One try of a generator. */
export const attempt = z
  .object({
    generator: z.string(),
    started_at: timestamp,
    ended_at: timestamp.optional(),
    outcome: attemptOutcome.optional(),
    error: publicError.optional(),
    cost_usd: z.number().optional(),
  })
  .meta({ id: 'Attempt' });

/** A render as REST shows it. */
export const renderResource = z
  .object({
    id: z.string(),
    request_id: z.string(),
    status: renderStatus,
    request: acceptedRequest,
    generator: z.string(),
    ignored: z.array(z.string()),
    attempts: z.array(attempt),
    queue_position: z.int().optional(),
    progress: z.object({ step: z.int(), steps: z.int(), fraction: z.number() }).optional(),
    images: z.array(renderedImage),
    cached: z.boolean(),
    fallback_from: z.string().optional(),
    cost_usd: z.number().optional().describe('What its attempts cost, as far as their providers say'),
    timings: timings.optional(),
    created_at: timestamp,
    started_at: timestamp.optional(),
    finished_at: timestamp.optional(),
    error: publicError.optional(),
    batch_id: z.string().optional(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Render', description: 'One accepted request and what became of it' });
/** A resource of `renderResource`. */
export type RenderResource = z.infer<typeof renderResource>;

/** What a cancel really did. */
export const cancelOutcome = z.enum(['cancelled', 'detached', 'already_done']);
/** An outcome of `cancelOutcome`. */
export type CancelOutcome = z.infer<typeof cancelOutcome>;

/** A generator as REST shows it. */
export const generatorResource = z
  .object({
    name: z.string(),
    default: z.boolean().describe('Whether requests without a generator go here'),
    state: generatorState,
    reason: z.string().optional(),
    capabilities: z.object({
      image_to_image: z.boolean(),
      controlnet_depth: z.boolean(),
      inpainting: z.boolean(),
      loras: z.boolean(),
      negative_prompts: z.boolean(),
      seeds: z.boolean(),
      batch: z.boolean(),
      previews: z.boolean(),
    }),
    fields: z.array(z.string()).describe('Optional request fields that it honours'),
    required: z.array(z.string()).describe('Those of them that it cannot do without'),
    models: z.array(z.string()).describe('Models or presets that requests may name as `generator/model`'),
    model_fields: z
      .record(z.string(), z.object({ fields: z.array(z.string()), required: z.array(z.string()) }))
      .describe('`fields` and `required` of each model'),
    sizes: z.object({
      default: z.object({ width: z.int(), height: z.int() }),
      min: z.int(),
      max: z.int(),
      multiple_of: z.int(),
    }),
    concurrency: z.int(),
    queued: z.int(),
    running: z.int(),
  })
  .meta({ id: 'Generator' });
/** A resource of `generatorResource`. */
export type GeneratorResource = z.infer<typeof generatorResource>;
