import type { ErrorCode } from '../../errors.ts';
import type { JournalOperations, LoggedEvent } from '../journal.ts';

/** One operation, as the journal's thread receives it. */
export interface Call {
  readonly operation: keyof JournalOperations;
  readonly call: unknown;
}

/** How one operation went. `detail` is for the log only. */
export type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** The replies to a batch, in its order, and the events that it wrote; both after the commit. */
export interface BatchReply {
  readonly replies: readonly Reply[];
  readonly events: readonly LoggedEvent[];
}

/** The first message of the thread. */
export type WorkerStart =
  | { readonly kind: 'ready'; readonly logId: string; readonly lastSeq: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string };
