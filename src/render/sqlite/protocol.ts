import type { ErrorCode } from '../../errors.ts';
import type { CacheUse } from '../../messages/outputs.ts';
import type { JournalOperations } from '../journal.ts';
import type { Accepted, LoggedEvent, NewRender, RenderRecord, Taken } from '../records.ts';

// Batches and their replies go from thread to thread as JSON text: it costs a quarter of what cloning the same objects
// does, and the journal's operations take and give nothing but JSON.

/** What the thread is sent. */
export type ThreadCall = { readonly calls: readonly Call[] } | 'close';

/** What the thread does. */
export interface ThreadOperations extends Omit<JournalOperations, 'accept'> {
  accept(call: Parameters<JournalOperations['accept']>[0]): TakenThere | Exclude<Accepted, { kind: 'taken' }>;
}

/** `Taken` without renders that are new, and therefore known to who sent them. */
export type NewlyTaken = Taken | { readonly kind: 'new'; readonly cache: CacheUse; readonly queuePosition: number };

/** Renders that were taken, as the thread answers. */
export interface TakenThere extends Omit<Extract<Accepted, { kind: 'taken' }>, 'renders'> {
  readonly renders: readonly NewlyTaken[];
}

/** The thread's answer with all that was sent. */
export function completed(
  answer: ReturnType<ThreadOperations['accept']>,
  { renders }: { readonly renders: readonly NewRender[] },
): Accepted {
  if (answer.kind !== 'taken') return answer;
  const complete = (taken: NewlyTaken, index: number): Taken => {
    const sent = renders[index];
    if (taken.kind !== 'new') return taken;
    if (sent === undefined) throw new Error('the thread took a render that it was not sent');
    const { cache, queuePosition } = taken;
    return { kind: 'accepted', cache, render: { ...asRecord(sent), queuePosition } };
  };
  return { ...answer, renders: answer.renders.map(complete) };
}

/** A new render as the journal has it, without a second look. */
function asRecord(render: NewRender): RenderRecord {
  const {
    spec: _,
    clearQueue: _c,
    inputs: _i,
    cacheKey: _k,
    useCache: _u,
    queueUntil: _q,
    steadyAt: _s,
    ...same
  } = render;
  return { ...same, spentMs: 0, status: 'queued', cached: false, attempts: [], images: [] };
}

/** One operation, as the journal's thread receives it. */
export interface Call {
  readonly operation: keyof ThreadOperations;
  readonly call: unknown;
}

/** Why something went wrong. `detail` is for the log only. */
export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** How one operation went. */
export type Reply = { readonly ok: true; readonly value: unknown } | ({ readonly ok: false } & Failure);

/** The replies to a batch, in its order, and the events that it wrote; both after the commit. */
export interface BatchReply {
  readonly replies: readonly Reply[];
  readonly events: readonly LoggedEvent[];
}

/** What the thread sends for a batch. */
export interface ThreadReply extends BatchReply {
  /** Whether the journal's files were gone, and had to be written anew first. */
  readonly restored: boolean;
}

/** The first message of the thread. */
export type WorkerStart =
  | { readonly kind: 'ready'; readonly logId: string; readonly lastSeq: number }
  | ({ readonly kind: 'failed' } & Failure);
