import type { PublicError } from '../errors.ts';
import type { NewEvent } from '../messages/events.ts';
import type { CacheUse, RenderStatus, Timings } from '../messages/outputs.ts';
import type { RenderImage, RenderRecord } from './records.ts';

/** From which statuses each status may be reached. Nothing leaves a final one. */
export const REACHED_FROM = {
  queued: ['running'],
  running: ['queued'],
  // Stored images can answer before anything runs.
  succeeded: ['queued', 'running'],
  failed: ['queued', 'running'],
  cancelled: ['queued', 'running'],
} as const satisfies Record<RenderStatus, readonly RenderStatus[]>;

/** What a setter needs to know of a render. */
export type Job = Pick<
  RenderRecord,
  'id' | 'requestId' | 'generator' | 'fallbackFrom' | 'request' | 'queuedMs' | 'createdAt' | 'startedAt'
>;

/**
 * A change of a render's status, phrased but not made: the journal makes it if the render still has a status that
 * `to` may be reached from, and then writes the events in the same transaction.
 */
export interface StatusChange {
  readonly to: RenderStatus;
  readonly at: number;
  /** How much of the render's time is used; unchanged when absent. */
  readonly spentMs?: number;
  readonly error?: PublicError;
  readonly timings?: Timings;
  readonly images?: readonly RenderImage[];
  readonly events: readonly NewEvent[];
}

/** The first event of every render. */
export function queuedEvent(job: Job, priority: number, numImages: number, cache: CacheUse): NewEvent {
  const { generator } = job;
  return { type: 'RenderQueued', ...about(job), ...placeOf(job), generator, priority, num_images: numImages, cache };
}

/** Work on the render begins. */
export function start(job: Job, attempt: number, at: number): StatusChange {
  return {
    to: 'running',
    at,
    events: [
      {
        type: 'RenderStarted',
        ...about(job),
        generator: job.generator,
        attempt,
        queued_ms: waited(job, at),
        ...fallbackOf(job),
      },
    ],
  };
}

/** The render goes back to its place in the queue; `spentMs` of its time are used. */
export function handBack(at: number, spentMs: number): StatusChange {
  return { to: 'queued', at, spentMs, events: [] };
}

/** All images are stored: one `ImageReady` each; the last one is the end of the render. */
export function succeed(
  job: Job,
  images: readonly RenderImage[],
  how: {
    readonly renderMs: number;
    readonly storeMs: number;
    /** Whether they were made for an equal request before. */
    readonly cached?: boolean;
  },
  at: number,
): StatusChange {
  const timings = {
    queued_ms: waited(job, at),
    render_ms: how.renderMs,
    store_ms: how.storeMs,
  };
  const events = images.map((image, index): NewEvent => {
    const { imageId, width, height, format, seed } = image;
    return {
      type: 'ImageReady',
      ...about(job),
      prompt: job.request.prompt,
      ...placeOf(job),
      image_id: imageId,
      url: imagePath(imageId),
      width,
      height,
      format,
      seed,
      generator: job.generator,
      index,
      of: images.length,
      cached: how.cached === true,
      ...fallbackOf(job),
      timings,
    };
  });
  return { to: 'succeeded', at, timings, images, events };
}

/** The render ends without an image. */
export function fail(job: Job, error: PublicError, at: number): StatusChange {
  const event: NewEvent = {
    type: 'RenderFailed',
    ...about(job),
    ...placeOf(job),
    generator: job.generator,
    ...error,
  };
  return { to: 'failed', at, error, events: [event] };
}

/** The render ends because somebody wanted that, or wanted something newer. */
export function cancel(job: Job, error: PublicError, at: number): StatusChange {
  const event: NewEvent = {
    type: 'RenderCancelled',
    ...about(job),
    ...placeOf(job),
    generator: job.generator,
    code: error.code,
    message: error.message,
  };
  return { to: 'cancelled', at, error, events: [event] };
}

/** Path of an image below the server's address. */
export function imagePath(imageId: string): string {
  return `/v1/images/${imageId}`;
}

/** Ms from acceptance to the first start, which is `at` when there was none before. */
function waited(job: Job, at: number): number {
  return job.queuedMs ?? Math.max(0, (job.startedAt ?? at) - job.createdAt);
}

function fallbackOf({ fallbackFrom }: Job) {
  return fallbackFrom === undefined ? {} : { fallback_from: fallbackFrom };
}

function about(job: Job) {
  return { render_id: job.id, request_id: job.requestId };
}

function placeOf({ request: { era, biome } }: Job) {
  return { ...(era === undefined ? {} : { era }), ...(biome === undefined ? {} : { biome }) };
}
