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
  /** Says whether a later request with the same id is the same request. Without it, `request` tells: see `bodyHashOf`. */
  readonly bodyHash?: string | undefined;
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
  /** The same moment by the clock that never jumps; see `Journal`. */
  readonly steadyAt: number;
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
  /** When its file was given up, if it was, by the clock that never jumps. */
  readonly evictedAt?: number | undefined;
}

/**
 * What of the image store may go: beyond `maxBytes`, down to `targetBytes`, least recently used first. Times are by the
 * clock that never jumps.
 */
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
  readonly bodyHash?: string | undefined;
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
  /** Whether more waits for this generator. */
  readonly more: boolean;
  /** How often each generator, or model of one (as in `fal/fast`), has failed at it. */
  readonly failures: Readonly<Record<string, number>>;
}

/** A provider's job that nobody waits for any more, and whose cost is not known. */
export interface LeftJob {
  readonly workId: string;
  /** The last one that had to do with it. */
  readonly attempt: number;
  readonly generator: string;
  readonly remoteId: string;
  readonly spec: WorkSpec;
}

/** What attempts of a generator have cost. */
export interface Spending {
  /** As far as it is known, in USD. */
  readonly usd: number;
  /** How many attempts may have cost something that is not known, or not yet. */
  readonly unknown: number;
  /** The newest known cost of any attempt, whenever it began, that cost something; 0 without one. */
  readonly lastUsd: number;
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
  /** When the oldest queued one was accepted, by the clock that never jumps. */
  readonly oldestAt?: number | undefined;
}
