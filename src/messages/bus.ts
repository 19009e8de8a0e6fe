import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import { imageFormat, imageId } from './outputs.ts';

/**
 * `ImageReady` as the bus carries it: Experimance's own fields first, in their order. Its peers drop what they do not
 * know, so ours may follow. `uri` is `file://` and the raw absolute path, never percent-encoded: its peers do not decode.
 */
export const busImageReady = z
  .object({
    type: z.literal('ImageReady'),
    request_id: z.string().min(1).describe('As in the request, verbatim'),
    uri: z.string().startsWith('file:///').describe('file:// and the raw absolute path, never percent-encoded'),
    prompt: z.string().nullable().describe('As in the request'),
    era: z.string().optional().describe('As in the request, verbatim'),
    biome: z.string().optional().describe('As in the request, verbatim'),
    image_id: imageId.describe('SHA-256 of the image file, in hexadecimal digits'),
    image_data: z.string().optional().describe('With image_transport = "hybrid": the file as a data URL'),
    width: z.int().describe('Pixels'),
    height: z.int().describe('Pixels'),
    format: imageFormat.describe('What the file is'),
    seed: z.int().describe('With which the image can be made again'),
    generator: z.string().describe('What made the image'),
    index: z.int().describe('Which of the images of the request, from 0'),
    of: z.int().describe('How many images the request has'),
    cached: z.boolean().optional().describe('Whether an earlier render had made it'),
    fallback_from: z.string().optional().describe('The generator that should have made it, if another one did'),
  })
  .meta({ description: 'An image is finished' });
/** A message of `busImageReady`. */
export type BusImageReady = z.infer<typeof busImageReady>;

/** What the bus hears when there is no image. It must never have a `uri`: a core would take it for an image. */
export const alert = z
  .strictObject({
    type: z.literal('Alert'),
    request_id: z.string().nullable().describe('As in the request; null when none could be read, or none is to blame'),
    severity: z.enum(['warning', 'error']).describe('warning: somebody wanted it so, as with clear_queue'),
    code: z
      .enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]])
      .describe('What is wrong; docs/errors.md explains each'),
    message: z.string().describe('The same in words'),
  })
  .meta({ description: 'A request gets no image, or something is wrong with the server' });
/** A message of `alert`. */
export type Alert = z.infer<typeof alert>;

/** A sign of life, published every 5 s in the layout `pubsub`. */
export const heartbeat = z
  .strictObject({
    type: z.literal('Heartbeat'),
    timestamp: z.number().describe('Seconds since 1970, with a fraction'),
    service: z.literal('image-server').describe('Who is alive'),
    state: z.literal('running').describe('How it is'),
  })
  .meta({ description: 'The server is alive' });
/** A message of `heartbeat`. */
export type Heartbeat = z.infer<typeof heartbeat>;

/** What the bus reads of a core's `SpaceTimeUpdate`. */
export const spaceTimeUpdate = z
  .object({
    type: z.literal('SpaceTimeUpdate'),
    era: z.string().min(1).describe('Where in time the core is now'),
    biome: z.string().min(1).describe('Where in space the core is now'),
  })
  .meta({ description: 'The core has moved on' });
/** Where in time and space. */
export type Place = Pick<z.infer<typeof spaceTimeUpdate>, 'era' | 'biome'>;
