import type { SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import type { NewEvent } from '../../messages/events.ts';
import { eventBodies } from '../../messages/events.ts';
import { attemptOutcome, imageFormat, publicError, renderStatus, timings } from '../../messages/outputs.ts';
import type { AcceptedRequest } from '../../messages/render.ts';
import type {
  AttemptRecord,
  ImageRecord,
  LeftJob,
  LoggedEvent,
  RenderImage,
  RenderRecord,
  WorkSpec,
} from '../records.ts';

/** A row as the database gives it. */
export type Row = Record<string, SQLOutputValue>;

const door = z.enum(['rest', 'bus']);
const flag = z.int().transform((value) => value === 1);
const optionalText = z
  .string()
  .nullable()
  .transform((value) => value ?? undefined);
const optionalTime = z
  .int()
  .nullable()
  .transform((value) => value ?? undefined);

function json<S extends z.ZodType>(schema: S) {
  return z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(schema);
}

function optionalJson<S extends z.ZodType>(schema: S) {
  return z
    .string()
    .nullable()
    .transform((text): unknown => (text === null ? undefined : JSON.parse(text)))
    .pipe(schema.optional());
}

/** Was valid when it was accepted; later limits must not make old rows unreadable. */
const storedRequest = z.custom<AcceptedRequest>((value) => typeof value === 'object' && value !== null);

const renderRow = z.object({
  id: z.string(),
  owner: z.string(),
  door,
  request_id: json(z.string()),
  body_hash: z.string(),
  work_id: z.string(),
  status: renderStatus,
  generator: z.string(),
  priority: z.int(),
  timeout_ms: z.int(),
  queue_timeout_ms: z.int(),
  queue_until: optionalTime,
  fallback: flag,
  fallback_from: optionalText,
  cached: flag,
  batch_id: optionalText,
  spent_ms: z.int(),
  queued_ms: optionalTime,
  request: json(storedRequest),
  ignored: json(z.array(z.string())),
  timings: optionalJson(timings),
  error: optionalJson(publicError),
  created_at: z.int(),
  started_at: optionalTime,
  finished_at: optionalTime,
});

/** A row of `renders`. */
export function readRender(row: Row): StoredRender {
  const parsed = renderRow.parse(row);
  const { id, owner, door: throughDoor, status, generator, priority, request, ignored, fallback, cached } = parsed;
  return {
    ...{ id, owner, door: throughDoor, status, generator, priority, request, ignored, fallback, cached },
    requestId: parsed.request_id,
    bodyHash: parsed.body_hash === '' ? undefined : parsed.body_hash,
    workId: parsed.work_id,
    timeoutMs: parsed.timeout_ms,
    queueTimeoutMs: parsed.queue_timeout_ms,
    queueUntil: parsed.queue_until,
    fallbackFrom: parsed.fallback_from,
    batchId: parsed.batch_id,
    spentMs: parsed.spent_ms,
    queuedMs: parsed.queued_ms,
    timings: parsed.timings,
    error: parsed.error,
    createdAt: parsed.created_at,
    startedAt: parsed.started_at,
    finishedAt: parsed.finished_at,
  };
}

const askerRow = renderRow.pick({ id: true, owner: true, door: true, request_id: true });

/** Which render a row of `renders` is, and whose, without the rest of it. */
export function readAsker(row: Row): Pick<RenderRecord, 'id' | 'requestId' | 'owner' | 'door'> {
  const { request_id, ...same } = askerRow.parse(row);
  return { ...same, requestId: request_id };
}

/** A render without what stands in other tables. */
export type StoredRender = Omit<RenderRecord, 'attempts' | 'images' | 'queuePosition'> & {
  /** When it has waited for too long, by the steady clock. */
  readonly queueUntil?: number | undefined;
};

/** The place of a row of `renders` in the order of acceptance. */
export function ordOf(row: Row): number {
  return z.int().parse(row.ord);
}

const attemptRow = z.object({
  attempt: z.int(),
  generator: z.string(),
  started_at: z.int(),
  ended_at: optionalTime,
  outcome: attemptOutcome.nullable().transform((value) => value ?? undefined),
  error: optionalJson(publicError),
  remote_id: optionalText,
  cost_usd: z
    .number()
    .nullable()
    .transform((value) => value ?? undefined),
});

/** A row of `attempts`. */
export function readAttempt(row: Row): AttemptRecord {
  const { started_at, ended_at, remote_id, cost_usd, ...same } = attemptRow.parse(row);
  return { ...same, startedAt: started_at, endedAt: ended_at, remoteId: remote_id, costUsd: cost_usd };
}

const imageRow = z.object({
  image_id: z.string(),
  format: imageFormat,
  width: z.int(),
  height: z.int(),
  bytes: z.int(),
  evicted_at: optionalTime,
});

/** A row of `images`. */
export function readImage(row: Row): ImageRecord {
  const { image_id, evicted_at, ...same } = imageRow.parse(row);
  return { imageId: image_id, ...same, ...(evicted_at === undefined ? {} : { evictedAt: evicted_at }) };
}

/** A row of `work_images` joined with its image. */
export function readRenderImage(row: Row): RenderImage {
  return { ...readImage(row), seed: z.int().parse(row.seed) };
}

const storedSpec = z.custom<WorkSpec>((value) => typeof value === 'object' && value !== null);

const workRow = z.object({
  id: z.string(),
  generator: z.string(),
  status: z.enum(['queued', 'running', 'succeeded', 'failed', 'abandoned']),
  priority: z.int(),
  lane: z.int(),
  ord: z.int(),
  attempts: z.int(),
  spec: json(storedSpec),
  cache_key: z.instanceof(Uint8Array).nullable(),
});

/** A row of `works`. */
export function readWork(row: Row): z.infer<typeof workRow> {
  return workRow.parse(row);
}

const leftJobRow = attemptRow
  .pick({ attempt: true, generator: true })
  .extend({ work_id: z.string(), remote_id: z.string(), spec: json(storedSpec) });

/** A row of `attempts` joined with its work. */
export function readLeftJob(row: Row): LeftJob {
  const { work_id, remote_id, ...same } = leftJobRow.parse(row);
  return { ...same, workId: work_id, remoteId: remote_id };
}

const eventRow = z.object({
  seq: z.int(),
  at: z.int(),
  owner: z.string(),
  door,
  body: z.string().transform((text): unknown => JSON.parse(text)),
});
const eventTypes = Object.entries(eventBodies).map(([type, body]) => body.extend({ type: z.literal(type) }));
const eventBody = z.discriminatedUnion('type', eventTypes as [(typeof eventTypes)[number]]);

/** A row of `events`. */
export function readEvent(row: Row): LoggedEvent {
  const { seq, at, body, ...caller } = eventRow.parse(row);
  return { ...caller, event: numbered(eventBody.parse(body) as NewEvent, seq, at) };
}

/** An event with its place in the log, as every transport shows it. */
export function numbered(event: NewEvent, seq: number, at: number): LoggedEvent['event'] {
  return Object.assign({ seq, time: new Date(at).toISOString() }, event);
}
