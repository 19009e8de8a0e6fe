import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import { imageFormat } from './fields.ts';

const codes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** A point in time, ISO 8601 in UTC with milliseconds. */
export const timestamp = z.iso.datetime();

/** The SHA-256 of an image's bytes, in hex. */
export const imageId = z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be 64 hexadecimal digits' });

/** Where a render stands; the last three are final. */
export const renderStatus = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']);
/** A status of `renderStatus`. */
export type RenderStatus = z.infer<typeof renderStatus>;

/**
 * How one try of a generator ended. `detached`: nobody waits, but the provider may go on; `unknown`: whether the provider
 * took it cannot be known; `crashed`: the process died meanwhile; `released`: handed back at a shutdown.
 */
export const attemptOutcome = z.enum([
  'succeeded',
  'failed',
  'cancelled',
  'detached',
  'timeout',
  'unknown',
  'crashed',
  'released',
]);
/** An outcome of `attemptOutcome`. */
export type AttemptOutcome = z.infer<typeof attemptOutcome>;

/** How the cache was used: not asked, nothing there, equal work under way, or stored images. */
export const cacheUse = z.enum(['bypass', 'miss', 'joined', 'hit']);
/** A use of `cacheUse`. */
export type CacheUse = z.infer<typeof cacheUse>;

/** What callers are told of a failure. */
export const publicError = z
  .object({ code: z.enum(codes), message: z.string(), retryable: z.boolean() })
  .meta({ id: 'RenderError', description: 'Why a render ended without an image' });

/** Milliseconds that a finished render spent waiting, rendering and storing. */
export const timings = z.object({
  queued_ms: z.number().min(0),
  render_ms: z.number().min(0),
  store_ms: z.number().min(0),
});
/** Timings of `timings`. */
export type Timings = z.infer<typeof timings>;

/** State of a generator as callers see it. */
export const generatorState = z.enum(['ready', 'starting', 'degraded', 'open', 'disabled']);
/** A state of `generatorState`. */
export type GeneratorState = z.infer<typeof generatorState>;

export { imageFormat };
