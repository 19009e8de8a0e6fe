import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import { attemptOutcome, cacheUse, generatorState, imageFormat, imageId, timestamp, timings } from './outputs.ts';

const codes = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);
/** Which render an event is about; the same words in every event. */
const aboutRender = { render_id: z.string(), request_id: z.string() };
const place = { era: z.string().optional(), biome: z.string().optional() };

/** What each journalled event says beside `seq`, `time` and `type`. */
export const eventBodies = {
  RenderQueued: z.object({
    ...aboutRender,
    ...place,
    generator: z.string(),
    priority: z.int(),
    num_images: z.int(),
    /** Absent in events of before there was a cache. */
    cache: cacheUse.optional(),
  }),
  RenderStarted: z.object({
    ...aboutRender,
    generator: z.string(),
    attempt: z.int(),
    queued_ms: z.number(),
    fallback_from: z.string().optional(),
  }),
  AttemptEnded: z.object({
    ...aboutRender,
    generator: z.string(),
    attempt: z.int(),
    outcome: attemptOutcome,
    code: codes.optional(),
    duration_ms: z.number(),
    /** Who takes the work over. */
    fallback_to: z.string().optional(),
    /** USD, where the provider says it and it is known by now; else `CostKnown` follows, if ever. */
    cost_usd: z.number().optional(),
  }),
  CostKnown: z.object({ ...aboutRender, generator: z.string(), attempt: z.int(), cost_usd: z.number() }),
  ImageReady: z.object({
    ...aboutRender,
    /** Local path as `file://` and the raw path; absent where callers may not see paths. */
    uri: z.string().optional(),
    prompt: z.string(),
    ...place,
    image_id: imageId,
    url: z.string(),
    width: z.int(),
    height: z.int(),
    format: imageFormat,
    seed: z.int(),
    generator: z.string(),
    index: z.int(),
    of: z.int(),
    cached: z.boolean(),
    fallback_from: z.string().optional(),
    timings,
  }),
  RenderFailed: z.object({
    ...aboutRender,
    ...place,
    generator: z.string(),
    code: codes,
    message: z.string(),
    retryable: z.boolean(),
  }),
  RenderCancelled: z.object({ ...aboutRender, ...place, generator: z.string(), code: codes, message: z.string() }),
  GeneratorState: z.object({ generator: z.string(), state: generatorState, reason: z.string().optional() }),
  QueueCleared: z.object({ generator: z.string().optional(), cancelled: z.int() }),
  /** Nothing begins until `QueueResumed`. */
  QueuePaused: z.object({ queued: z.int() }),
  QueueResumed: z.object({ queued: z.int() }),
  ServerDraining: z.object({ grace_ms: z.number() }),
} as const;

/** Name of a journalled event. */
export type EventType = keyof typeof eventBodies;
/** Names of all journalled events. */
export const EVENT_TYPES = Object.keys(eventBodies) as readonly EventType[];

type EventOf<T extends EventType> = { type: T } & z.infer<(typeof eventBodies)[T]>;
/** An event before the journal has numbered it. */
export type NewEvent = { [T in EventType]: EventOf<T> }[EventType];

/** A journalled event as every transport sends it. `seq` only grows, across restarts too. */
export type RenderEvent = NewEvent & { seq: number; time: string };

/** How far a running render is. Transient: never journalled, never replayed. */
export const renderProgress = z.object({
  type: z.literal('RenderProgress'),
  time: timestamp,
  ...aboutRender,
  generator: z.string(),
  step: z.int(),
  steps: z.int(),
  fraction: z.number(),
  /** Ms that the rest will take if it goes on at the pace so far. */
  eta_ms: z.int(),
});
/** A message of `renderProgress`. */
export type RenderProgress = z.infer<typeof renderProgress>;

/** The first message on every event connection. */
export const hello = z.object({
  type: z.literal('Hello'),
  /** Number of the newest event; 0 when there is none. */
  last_seq: z.int(),
  /** Changes when the journal was started anew: then `seq`s of before mean nothing. */
  log_id: z.string(),
  server: z.string(),
  protocol: z.literal(1),
});
/** A message of `hello`. */
export type Hello = z.infer<typeof hello>;
