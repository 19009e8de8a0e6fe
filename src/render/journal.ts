import type { PublicError } from '../errors.ts';
import type { Work } from '../generators/generator.ts';
import type { NewEvent, RenderEvent } from '../messages/events.ts';
import type { ImageFormat } from '../messages/fields.ts';
import type { AttemptOutcome, RenderStatus, Timings } from '../messages/outputs.ts';
import type { AcceptedRequest } from '../messages/render.ts';

/** The transport through which a render came in. */
export type Door = 'rest' | 'bus';

/** Who asked, and how: ids are unique per owner. */
export interface Caller {
  readonly owner: string;
  readonly door: Door;
}

type InputRole = 'referenceImage' | 'depthMap' | 'mask';

/** What a generator is to draw, as JSON: `Work` with its input images by their ids in the image store. */
export interface WorkSpec
  extends Omit<Work, 'workId' | InputRole>,
    Readonly<Partial<Record<InputRole, string | undefined>>> {
  readonly outputFormat: ImageFormat;
  /** 1–100, for lossy formats. */
  readonly quality: number;
}

/** A render that is to be accepted, with work of its own. Times are ms since 1970. */
export interface NewRender extends Caller {
  readonly id: string;
  readonly requestId: string;
  /** Says whether a later request with the same id is the same request. */
  readonly bodyHash: string;
  readonly request: AcceptedRequest;
  readonly ignored: readonly string[];
  readonly generator: string;
  /** Higher first. */
  readonly priority: number;
  /** From the first start. */
  readonly timeoutMs: number;
  /** Cancel what is active of the same caller and generator first, in the same transaction. */
  readonly clearQueue: boolean;
  readonly createdAt: number;
  readonly workId: string;
  readonly spec: WorkSpec;
  /** Its input images, as they lie in the store. */
  readonly inputs: readonly { readonly imageId: string; readonly bytes: number }[];
}

/** One try of a generator. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly generator: string;
  readonly startedAt: number;
  readonly endedAt?: number | undefined;
  readonly outcome?: AttemptOutcome | undefined;
  readonly error?: PublicError | undefined;
  readonly remoteId?: string | undefined;
  /** USD, as far as known. */
  readonly costUsd?: number | undefined;
}

/** A stored image, by content. */
export interface ImageRecord {
  readonly imageId: string;
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  /** When its file was given up, if it was. */
  readonly evictedAt?: number | undefined;
}

/** What of the image store may go: beyond `maxBytes`, down to `targetBytes`, least recently used first. */
export interface EvictionLimits {
  readonly maxBytes: number;
  readonly targetBytes: number;
  /** What was used since then stays, whatever the size. */
  readonly keepSince: number;
  /** What was not used since then goes, whatever the size. */
  readonly dropBefore?: number | undefined;
}

/** A file that the journal has given up; it may now be deleted. */
export type EvictedFile =
  | { readonly kind: 'image'; readonly imageId: string; readonly format: ImageFormat }
  | { readonly kind: 'input'; readonly imageId: string };

/** What lies in the image store: finished images and inputs. */
export interface StoreUsage {
  readonly files: number;
  readonly bytes: number;
}

/** An image of a render. */
export interface RenderImage extends ImageRecord {
  readonly seed: number;
}

/** A render as the journal knows it. */
export interface RenderRecord extends Caller {
  readonly id: string;
  readonly requestId: string;
  readonly status: RenderStatus;
  readonly generator: string;
  readonly request: AcceptedRequest;
  readonly ignored: readonly string[];
  readonly bodyHash: string;
  readonly workId: string;
  readonly priority: number;
  readonly timeoutMs: number;
  readonly spentMs: number;
  readonly createdAt: number;
  readonly startedAt?: number | undefined;
  readonly finishedAt?: number | undefined;
  readonly timings?: Timings | undefined;
  readonly error?: PublicError | undefined;
  readonly attempts: readonly AttemptRecord[];
  readonly images: readonly RenderImage[];
  /** How many pieces of work run before this one, plus one; only while queued. */
  readonly queuePosition?: number | undefined;
}

/** What became of a request at the journal. `stoppedWork`: work that nobody waits for any more. */
export type Accepted =
  | { readonly kind: 'accepted'; readonly render: RenderRecord; readonly stoppedWork: readonly string[] }
  | { readonly kind: 'known'; readonly render: RenderRecord }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'full'; readonly queued: number };

/** A render that waits for a piece of work. */
export interface Waiter {
  readonly renderId: string;
  readonly requestId: string;
  readonly timeoutMs: number;
  /** How much of that earlier tries have used that were handed back; a crash gives it all back. */
  readonly spentMs: number;
}

/** Work that is now the claimer's to do. */
export interface ClaimedWork {
  readonly workId: string;
  /** Counts from 1; names this try in every later call. */
  readonly attempt: number;
  readonly generator: string;
  readonly spec: WorkSpec;
  readonly waiters: readonly Waiter[];
  /** A provider's job that the last try left behind when the process ended: to be gone on with. */
  readonly remoteId?: string | undefined;
}

/** The end of an attempt whose result counts for everybody who waits. */
export type WorkResult =
  | {
      readonly kind: 'succeeded';
      readonly images: readonly RenderImage[];
      readonly renderMs: number;
      readonly storeMs: number;
    }
  | { readonly kind: 'failed'; readonly error: PublicError };

/** A committed event, with what transports need to choose by but do not show. */
export interface LoggedEvent extends Caller {
  readonly event: NewEvent & Pick<RenderEvent, 'seq' | 'time'>;
}

/** Queued work of one generator. */
export interface QueueStats {
  readonly generator: string;
  readonly queued: number;
  readonly running: number;
  /** When the oldest queued one was accepted. */
  readonly oldestAt?: number | undefined;
}

/**
 * The durable truth about renders, works and events. Each call is one transaction and each change of state one
 * compare-and-set: the first commit wins, later callers learn that they came too late. Everything that goes in or out
 * is JSON, so that a database on another machine can be behind it. Times (`at`) are ms since 1970.
 * Every call throws `storage_full` or `storage_failed` when nothing could be written.
 */
export interface JournalOperations {
  /** Takes a render and its work in, unless its id is known, or the queue holds `maxQueued` already. */
  accept(call: { render: NewRender; maxQueued: number }): Accepted;
  /** Takes the next queued work of a generator: priority, then the bus before others, then order of arrival. */
  claim(call: { generator: string; at: number }): ClaimedWork | undefined;
  /** Notes a provider's job id for a running attempt. */
  noteRemoteId(call: { workId: string; attempt: number; remoteId: string }): void;
  /** Notes what an attempt costs, in USD, be it over or not. */
  noteCost(call: { workId: string; attempt: number; costUsd: number; at: number }): void;
  /** Ends one render before its work ends. `stoppedWork`: the work that nobody waits for any more, if so. */
  settle(call: { renderId: string; status: 'failed' | 'cancelled'; error: PublicError; at: number }): {
    settled: boolean;
    stoppedWork?: string | undefined;
  };
  /** Ends a work for all who still wait; nothing when it is not this attempt's any more. */
  finish(call: { workId: string; attempt: number; result: WorkResult; at: number }): { settled: readonly string[] };
  /** Notes how an attempt ended whose work nobody waits for any more. */
  endAttempt(call: { workId: string; attempt: number; outcome: AttemptOutcome; error?: PublicError; at: number }): void;
  /** Hands running work back to the queue. */
  release(call: { workId: string; attempt: number; at: number }): void;
  /**
   * At start: what ran when the process died goes back to its place in the queue, or fails as `crashed` when it was
   * started `crashAttempts` times already. What waits for none of `generators` fails as `generator_unavailable`.
   */
  recover(call: { crashAttempts: number; generators: readonly string[]; at: number }): {
    requeued: number;
    failed: number;
  };
  /** By the server's id, else by a caller's `request_id`, the given owner's first. */
  findRender(call: { id: string; owner: string }): RenderRecord | undefined;
  /** Notes that images were looked at, to the minute. */
  touch(call: { imageIds: readonly string[]; at: number }): void;
  /**
   * Gives up files by these limits, some hundred at a time: call it until it gives up none. An input that somebody
   * still waits for stays.
   */
  evict(call: { limits: EvictionLimits; at: number }): readonly EvictedFile[];
  storeUsage(call: Record<string, never>): StoreUsage;
  findImage(call: { imageId: string }): ImageRecord | undefined;
  /** Notes an event that is about no render. */
  note(call: { event: NewEvent; at: number }): void;
  /** Events after `since`, oldest first. */
  eventsAfter(call: { since: number; limit: number }): readonly LoggedEvent[];
  /** The events that ended a render: its `ImageReady`s, or why there are none. */
  lastEvents(call: { renderId: string }): readonly LoggedEvent[];
  queueStats(call: Record<string, never>): readonly QueueStats[];
  /** Writes and commits something, to learn whether that works. */
  probe(call: { at: number }): void;
}

/** `JournalOperations`, each as a promise that resolves after its commit. */
export type Journal = {
  [O in keyof JournalOperations]: (
    call: Parameters<JournalOperations[O]>[0],
  ) => Promise<ReturnType<JournalOperations[O]>>;
} & {
  /** Names this journal; another one has other sequence numbers. */
  readonly logId: string;
  /** `seq` of the newest event; 0 when there is none. */
  readonly lastSeq: number;
  /** Hears every event once, in order, after its commit and before the call that made it resolves. */
  onEvents(listener: (events: readonly LoggedEvent[]) => void): void;
  /** Ends after everything that was called before. */
  close(): Promise<void>;
};
