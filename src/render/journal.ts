import type { PublicError } from '../errors.ts';
import type { NewEvent } from '../messages/events.ts';
import type { AttemptOutcome } from '../messages/outputs.ts';
import type {
  Accepted,
  Caller,
  ClaimedWork,
  EarlierCall,
  EvictedFile,
  EvictionLimits,
  Fallback,
  ImageRecord,
  InterruptedWork,
  LeftJob,
  LoggedEvent,
  NewRender,
  QueueStats,
  RenderFilters,
  RenderImage,
  RenderRecord,
  Spending,
  SpentTime,
  StoreUsage,
  WorkResult,
} from './records.ts';

/**
 * The durable truth about renders, works and events. Each call is one transaction and each change of state one
 * compare-and-set: the first commit wins, later callers learn that they came too late. Everything that goes in or out
 * is JSON, so that a database on another machine can be behind it. Times (`at`) are ms since 1970; `steadyAt` is the
 * time by a clock that was right when the process began, never jumps and never falls behind what the journal has, for
 * what must not end early or late; so are `ranMs`, how long an attempt took, and `spent`: without them the wall clock
 * tells. How old files, keys and what is over are is told by that clock alone.
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
  /** Notes a provider's job id for a running attempt, in the place of the last one; undefined: that it has none. */
  noteRemoteId(call: { workId: string; attempt: number; remoteId: string | undefined }): void;
  /** Notes what an attempt costs, in USD, be it over or not. A provider's job costs once, however many asked after it. */
  noteCost(call: { workId: string; attempt: number; costUsd: number; at: number }): void;
  /** What a generator's attempts have cost that began since then. */
  spentSince(call: { generator: string; since: number }): Spending;
  /**
   * Jobs that were left at the providers of these generators by attempts that ended since then, the newest first: of work
   * that was given up, or that waited for another attempt to go on with them.
   */
  leftJobs(call: { generators: readonly string[]; since: number; limit: number }): readonly LeftJob[];
  /**
   * Ends one render before its work ends. `stoppedWork`: the work that nobody waits for any more, if so; `leftJob`:
   * whether that waited to go on with a provider's job.
   */
  settle(call: { renderId: string; status: 'failed' | 'cancelled'; error: PublicError; at: number }): {
    settled: boolean;
    stoppedWork?: string | undefined;
    leftJob?: boolean;
  };
  /** Ends a work for all who still wait; nothing when it is not this attempt's any more. Its images are kept either way. */
  finish(call: {
    workId: string;
    attempt: number;
    result: WorkResult;
    ranMs?: number;
    at: number;
    steadyAt?: number;
  }): { settled: readonly string[] };
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
  /** What an idempotency key was used for, if it still counts at `at`, by the clock that never jumps. */
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
  /** Notes that images were looked at, to the minute. `at`, here and down to `forget`, is by the clock that never jumps. */
  touch(call: { imageIds: readonly string[]; at: number }): void;
  /** Notes that the files of images are gone. */
  lose(call: { imageIds: readonly string[]; at: number }): void;
  /**
   * Gives up files by these limits, some hundred at a time: call it until it gives up none. An input that somebody
   * still waits for stays.
   */
  evict(call: { limits: EvictionLimits; at: number }): readonly EvictedFile[];
  /** Gives up files that were, or were to be, saved and that nothing came of; those of the index stay. */
  doom(call: { files: readonly EvictedFile[] }): void;
  /** Files that were given up, but not removed before the process died. */
  doomed(call: Record<string, never>): readonly EvictedFile[];
  /** Whether a file is given up still: it may have been saved, and entered, anew since then. */
  isDoomed(call: { file: EvictedFile }): boolean;
  /** Notes that files which were given up are removed. */
  removed(call: { files: readonly EvictedFile[] }): void;
  storeUsage(call: Record<string, never>): StoreUsage;
  /** Notes how far the journal is now, so that `forget` knows later what is older: it goes back to the last such note. */
  noteTime(call: { at: number }): void;
  /** The newest time by the clock that never jumps of which the journal knows; 0 when there is none. */
  latestTime(call: Record<string, never>): number;
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

/** Operations, each as a promise that resolves after its commit. */
export type Committed<T extends { [O in keyof T]: (call: never) => unknown }> = {
  [O in keyof T]: (call: Parameters<T[O]>[0]) => Promise<ReturnType<T[O]>>;
};

/** `JournalOperations` as promises, and what is about the journal as a whole. */
export type Journal = Committed<JournalOperations> & {
  /** Names this journal; another one has other sequence numbers. */
  readonly logId: string;
  /** `seq` of the newest event; 0 when there is none. */
  readonly lastSeq: number;
  /** Hears every event once, in order, after its commit and before the call that made it resolves. */
  onEvents(listener: (events: readonly LoggedEvent[]) => void): void;
  /** Ends after everything that was called before. */
  close(): Promise<void>;
};
