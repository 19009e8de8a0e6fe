import type { ErrorCode } from '../../errors.ts';
import type { JournalOperations } from '../journal.ts';
import type { LoggedEvent } from '../records.ts';

// Batches and their replies go from thread to thread as JSON text: it costs a quarter of what cloning the same objects
// does, and the journal's operations take and give nothing but JSON.

/** What the thread is sent. */
export type ThreadCall = { readonly calls: readonly Call[] } | 'close';

/** One operation, as the journal's thread receives it. */
export interface Call {
  readonly operation: keyof JournalOperations;
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
