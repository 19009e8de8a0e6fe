import type { PublicError } from '../errors.ts';
import type { Work } from '../generators/generator.ts';
import type { NewEvent, RenderEvent } from '../messages/events.ts';
import type { ImageFormat } from '../messages/fields.ts';
import type { AttemptOutcome, CacheUse, RenderStatus, Timings } from '../messages/outputs.ts';
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
  /** From acceptance to the first start. */
  readonly queueTimeoutMs: number;
  /** When that is over; see `steadyAt`. */
  readonly queueUntil: number;
  /** Whether another generator may answer in the place of one that fails. */
  readonly fallback: boolean;
  /** Renders that came in together. */
  readonly batchId?: string | undefined;
  /** Equal for work that may share its images; without it the work is nobody else's. */
  readonly cacheKey?: string | undefined;
  /** Whether images of equal work may answer, or its running attempt be joined. */
  readonly useCache: boolean;
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
  readonly queueTimeoutMs: number;
  readonly fallback: boolean;
  readonly batchId?: string | undefined;
  /** Whether stored images answered. */
  readonly cached: boolean;
  /** The generator that was asked for, when another one answers. */
  readonly fallbackFrom?: string | undefined;
  readonly spentMs: number;
  /** How long it waited for its first start, which the clock's times do not tell when it jumped. */
  readonly queuedMs?: number | undefined;
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

/** A render that is now in the journal, or was before. */
export type Taken =
  | { readonly kind: 'accepted'; readonly render: RenderRecord; readonly cache: CacheUse }
  | { readonly kind: 'known'; readonly render: RenderRecord };

/** What became of a call. `stoppedWork`: work that nobody waits for any more. */
export type Accepted =
  | { readonly kind: 'taken'; readonly renders: readonly Taken[]; readonly stoppedWork: readonly string[] }
  | { readonly kind: 'conflict'; readonly on: 'request_id' | 'idempotency_key'; readonly index: number }
  | { readonly kind: 'full'; readonly queued: number };

/** A render that waits for a piece of work. */
export interface Waiter {
  readonly renderId: string;
  readonly requestId: string;
  readonly timeoutMs: number;
  readonly fallback: boolean;
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
  /** Whether its images may answer equal requests. */
  readonly shared: boolean;
  /** How often each generator, or model of one (as in `fal/fast`), has failed at it. */
  readonly failures: Readonly<Record<string, number>>;
}

/** How much of its time a render has used, in ms. */
export interface SpentTime {
  readonly renderId: string;
  readonly spentMs: number;
}

/** The end of an attempt whose result counts for everybody who waits. */
export type WorkResult =
  | {
      readonly kind: 'succeeded';
      readonly images: readonly RenderImage[];
      readonly renderMs: number;
      readonly storeMs: number;
    }
  | { readonly kind: 'failed'; readonly error: PublicError; readonly outcome?: AttemptOutcome }
  /** Stored images of other renders answer in the place of those that could not be made. */
  | {
      readonly kind: 'substituted';
      readonly by: string;
      readonly images: readonly RenderImage[];
      readonly error: PublicError;
      readonly outcome?: AttemptOutcome;
    };

/** Work for another generator, as that one is to draw it. */
export interface Fallback {
  readonly generator: string;
  readonly spec: WorkSpec;
  readonly cacheKey?: string | undefined;
  /** Fields that this generator cannot honour. */
  readonly ignored: readonly string[];
}

/** Work that ran when the process died. */
export interface InterruptedWork {
  readonly workId: string;
  readonly attempt: number;
}

/** What an idempotency key was used for. */
export interface EarlierCall {
  readonly bodyHash: string;
  readonly renders: readonly RenderRecord[];
}

/** Which renders a list has; each given key must match. */
export interface RenderFilters {
  readonly status?: RenderStatus | undefined;
  readonly generator?: string | undefined;
  readonly era?: string | undefined;
  readonly biome?: string | undefined;
  readonly batchId?: string | undefined;
  /** Words of the prompt, in any order; the last one may be begun only. */
  readonly text?: string | undefined;
  readonly owner?: string | undefined;
}

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
 * is JSON, so that a database on another machine can be behind it. Times (`at`) are ms since 1970; `steadyAt` is the
 * time by a clock that was right when the process began and never jumps, for what must not end early or late; so are
 * `ranMs`, how long an attempt took, and `spent`: without them the wall clock tells.
 * Every call throws `storage_full` or `storage_failed` when nothing could be written.
 */
export interface JournalOperations {
  /**
   * Takes renders of one caller in, all or none; those whose ids are known stay what they are. None when an id or the
   * call's idempotency key was used for another body, or when more than `maxQueued` would wait.
   */
  accept(call: {
    renders: readonly NewRender[];
    idempotency?: { readonly key: string; readonly bodyHash: string } | undefined;
    maxQueued: number;
  }): Accepted;
  /**
   * Takes the next queued work of a generator: priority, then the bus before others, then order of arrival.
   * None while the queue is paused.
   */
  claim(call: { generator: string; at: number; steadyAt: number }): ClaimedWork | undefined;
  /** Begins another attempt after `attempt` has ended; undefined when the work is not that attempt's any more. */
  beginAttempt(call: { workId: string; attempt: number; at: number }): number | undefined;
  /** Notes a provider's job id for a running attempt. */
  noteRemoteId(call: { workId: string; attempt: number; remoteId: string }): void;
  /** Notes what an attempt costs, in USD, be it over or not. A provider's job costs once, however many asked after it. */
  noteCost(call: { workId: string; attempt: number; costUsd: number; at: number }): void;
  /** What a generator's attempts have cost since then, in USD, as far as known. */
  spentSince(call: { generator: string; since: number }): number;
  /** Ends one render before its work ends. `stoppedWork`: the work that nobody waits for any more, if so. */
  settle(call: { renderId: string; status: 'failed' | 'cancelled'; error: PublicError; at: number }): {
    settled: boolean;
    stoppedWork?: string | undefined;
  };
  /** Ends a work for all who still wait; nothing when it is not this attempt's any more. Its images are kept either way. */
  finish(call: { workId: string; attempt: number; result: WorkResult; ranMs?: number; at: number }): {
    settled: readonly string[];
  };
  /** Notes how an attempt ended that was not the work's last, or whose work nobody waits for any more. */
  endAttempt(call: {
    workId: string;
    attempt: number;
    outcome: AttemptOutcome;
    error?: PublicError;
    ranMs?: number;
    at: number;
  }): void;
  /** Hands running work back to the queue. */
  release(call: { workId: string; attempt: number; ranMs?: number; spent?: readonly SpentTime[]; at: number }): void;
  /**
   * Ends an attempt and hands its work to another generator's queue, for those who allow it; the others fail with the
   * error. `passed`: whether anybody goes on.
   */
  fallBack(call: {
    workId: string;
    attempt: number;
    to: Fallback;
    error: PublicError;
    outcome: AttemptOutcome;
    ranMs?: number;
    spent?: readonly SpentTime[];
    at: number;
    steadyAt: number;
  }): { passed: boolean };
  /** At start: what ran when the process died. */
  interrupted(call: Record<string, never>): readonly InterruptedWork[];
  /**
   * At start: what ran when the process died goes back to its place in the queue, or fails as `crashed` when it was
   * started `crashAttempts` times already; those in which a provider had the job count a tenth. What waits for none of `generators` fails as `generator_unavailable`.
   */
  recover(call: { crashAttempts: number; generators: readonly string[]; at: number; steadyAt: number }): {
    requeued: number;
    failed: number;
  };
  /**
   * Fails what has waited for too long: `unstarted` for what never ran, `started` for what waits for a fallback.
   * `nextAt`: when, by the steady clock, to look again, if anything waits.
   */
  expireQueued(call: { unstarted: PublicError; started: PublicError; at: number; steadyAt: number }): {
    expired: number;
    nextAt?: number | undefined;
  };
  /** Cancels everything that waits, of one generator or of all. */
  clearQueue(call: { generator?: string | undefined; error: PublicError; at: number }): { cancelled: number };
  /** Cancels what a caller has waiting for another place than this, but never the caller's newest render. */
  supersedeStale(call: Caller & { era: string; biome: string; error: PublicError; at: number }): { cancelled: number };
  /** Whether work may be claimed; kept across restarts. */
  setPaused(call: { paused: boolean; at: number }): void;
  isPaused(call: Record<string, never>): boolean;
  /** By the server's id, else by a caller's `request_id`, the given owner's first. */
  findRender(call: { id: string; owner: string }): RenderRecord | undefined;
  /** What an idempotency key was used for, if it still counts at `at`. */
  findCall(call: { owner: string; key: string; at: number }): EarlierCall | undefined;
  /** Newest first, by order of acceptance; `before` is a place in that order. */
  listRenders(call: { filters: RenderFilters; limit: number; before?: number | undefined }): {
    readonly renders: readonly RenderRecord[];
    readonly next?: number | undefined;
  };
  /** Stored images that may answer equal work. */
  findShared(call: { cacheKey: string }): readonly ImageRecord[];
  /** Stored images of what is nearest in place and words: one of era and biome, both, or neither, in that order. */
  findNearest(call: {
    era?: string | undefined;
    biome?: string | undefined;
    prompt: string;
    limit: number;
  }): readonly RenderImage[];
  /** Notes that images were looked at, to the minute. */
  touch(call: { imageIds: readonly string[]; at: number }): void;
  /** Notes that the files of images are gone. */
  lose(call: { imageIds: readonly string[]; at: number }): void;
  /**
   * Gives up files by these limits, some hundred at a time: call it until it gives up none. An input that somebody
   * still waits for stays.
   */
  evict(call: { limits: EvictionLimits; at: number }): readonly EvictedFile[];
  /** Gives up images that were, or were to be, saved and that nothing came of; those of the index stay. */
  doom(call: { images: readonly Pick<ImageRecord, 'imageId' | 'format'>[] }): void;
  /** Files that were given up, but not removed before the process died. */
  doomed(call: Record<string, never>): readonly EvictedFile[];
  /** Whether a file is given up still: it may have been saved, and entered, anew since then. */
  isDoomed(call: { file: EvictedFile }): boolean;
  /** Notes that files which were given up are removed. */
  removed(call: { files: readonly EvictedFile[] }): void;
  storeUsage(call: Record<string, never>): StoreUsage;
  /**
   * Forgets renders that ended before then, with their events, and old idempotency keys. Their ids stay taken no longer.
   * It looks at some hundred at a time, those that came in first; `next`: where to go on, as `after`, if there is more.
   */
  forget(call: { endedBefore: number; at: number; after?: number | undefined }): {
    renders: number;
    next?: number | undefined;
  };
  /** Makes prompts findable that are not yet, some hundred at a time. */
  indexPrompts(call: Record<string, never>): { left: boolean };
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
