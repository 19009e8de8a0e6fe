import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import { imageFormat, imageId } from './outputs.ts';

/**
 * `ImageReady` as the bus carries it: Experimance's own fields first, in their order. Its peers drop what they do not
 * know, so ours may follow. `uri` is `file://` and the raw absolute path, never percent-encoded: its peers do not decode.
 */
export const busImageReady = z.object({
  type: z.literal('ImageReady'),
  request_id: z.string().min(1),
  uri: z.string().startsWith('file:///'),
  prompt: z.string().nullable(),
  era: z.string().optional(),
  biome: z.string().optional(),
  image_id: imageId,
  width: z.int(),
  height: z.int(),
  format: imageFormat,
  seed: z.int(),
  generator: z.string(),
  index: z.int(),
  of: z.int(),
});
/** A message of `busImageReady`. */
export type BusImageReady = z.infer<typeof busImageReady>;

/** What the bus hears when there is no image. It must never have a `uri`: a core would take it for an image. */
export const alert = z.strictObject({
  type: z.literal('Alert'),
  /** Null when none could be read. */
  request_id: z.string().nullable(),
  severity: z.enum(['warning', 'error']),
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
});
/** A message of `alert`. */
export type Alert = z.infer<typeof alert>;
