import { z } from 'zod';

const byKind = z.object({ image_tokens: z.int().min(0), text_tokens: z.int().min(0) }).nullish();

/** Tokens of a request and its answer, as they are billed. */
export const usageSchema = z.object({
  input_tokens: z.int().min(0),
  output_tokens: z.int().min(0),
  input_tokens_details: byKind,
  output_tokens_details: byKind,
});
/** Tokens of `usageSchema`. */
export type Usage = z.infer<typeof usageSchema>;

/** The answer of `/images/generations` and `/images/edits`. GPT models send `b64_json`; compatible servers may link. */
export const answerSchema = z.object({
  data: z.array(z.union([z.object({ b64_json: z.string() }), z.object({ url: z.string() })])),
  // Compatible servers count in ways of their own; an image is not lost for that.
  usage: usageSchema.nullish().catch(undefined),
});
/** An answer of `answerSchema`. */
export type Answer = z.infer<typeof answerSchema>;

/** One event of a streamed answer; other types may be added and mean nothing to us. */
export const streamEventSchema = z.union([
  z.object({
    type: z.enum(['image_generation.partial_image', 'image_edit.partial_image']),
    b64_json: z.string(),
    partial_image_index: z.int().min(0),
  }),
  z.object({
    type: z.enum(['image_generation.completed', 'image_edit.completed']),
    b64_json: z.string(),
    usage: usageSchema.nullish().catch(undefined),
  }),
  z.object({ type: z.literal('error'), error: z.unknown() }),
]);

/** What an error says, in the body of an answer or in a stream. */
export const errorSchema = z.object({
  error: z.object({ code: z.string().nullish(), type: z.string().nullish() }),
});
