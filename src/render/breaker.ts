import { AppError } from '../errors.ts';
import type { Clock } from './clock.ts';

/** Failures in a row that open a breaker. */
const FAILURES = 5;
/** How long it stays open before one work may try, in ms. */
const OPEN_MS = 60_000;

/** What says nothing about the generator: the request itself is to blame. */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set([
  'content_rejected',
  'invalid_request',
  'invalid_image',
  'image_not_found',
  'unsupported_field',
  'spend_limit',
  'storage_full',
  'storage_failed',
]);
/** What will not pass by itself within the next tries. */
const OPENS_AT_ONCE: ReadonlySet<string> = new Set(['upstream_auth']);

/** `closed` lets everything through, `open` nothing, `half_open` one work that tries. */
export type BreakerState = 'closed' | 'open' | 'half_open';

/** Keeps work away from a generator that fails. */
export interface Breaker {
  readonly state: BreakerState;
  /** Why it is not closed; public. */
  readonly reason: string | undefined;
  /** Whether `admit` would throw now. */
  readonly refuses: boolean;
  /** Lets one work through, which must then be judged. Throws `generator_unavailable`, saying when to try again. */
  admit(): void;
  /** The work came out well. */
  succeed(): void;
  /** The work failed. */
  fail(error: AppError): void;
  /** The work ended without telling anything about the generator. */
  abandon(): void;
}

/** Options of `createBreaker`. */
export interface BreakerOptions {
  readonly generator: string;
  readonly clock: Pick<Clock, 'elapsed'>;
  /** Hears each change of its state. */
  onChange(state: BreakerState, reason: string | undefined): void;
}

/** A circuit breaker: opens after some failures in a row, then lets one work try now and then. */
export function createBreaker({ generator, clock, onChange }: BreakerOptions): Breaker {
  let state: BreakerState = 'closed';
  let reason: string | undefined;
  let failures = 0;
  let openedAt = 0;
  let trying = false;

  function become(next: BreakerState, why?: string): void {
    reason = why;
    if (state === next) return;
    state = next;
    onChange(state, reason);
  }

  function open(error: AppError): void {
    openedAt = clock.elapsed();
    become('open', `It failed ${failures} times in a row, lastly as ${error.code}.`);
  }

  function leftMs(): number {
    return Math.max(0, OPEN_MS - (clock.elapsed() - openedAt));
  }

  function isRefusing(): boolean {
    return state !== 'closed' && (trying || leftMs() > 0);
  }

  return {
    get state() {
      return state;
    },
    get reason() {
      return reason;
    },
    get refuses() {
      return isRefusing();
    },
    admit() {
      if (isRefusing()) {
        const message = `The generator ${generator} is left alone for a while. ${reason}`;
        throw new AppError('generator_unavailable', message, { retryAfterMs: Math.max(1000, leftMs()) });
      }
      if (state === 'closed') return;
      trying = true;
      become('half_open', reason);
    },
    succeed() {
      trying = false;
      failures = 0;
      become('closed');
    },
    fail(error) {
      if (NOT_ITS_FAULT.has(error.code)) return this.abandon();
      trying = false;
      failures += 1;
      if (state !== 'closed' || failures >= FAILURES || OPENS_AT_ONCE.has(error.code)) open(error);
    },
    abandon() {
      trying = false;
    },
  };
}
