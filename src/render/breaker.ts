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
  'image_evicted',
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
  /** What `admit` would throw now: `generator_unavailable`, saying when to try again. */
  readonly refusal: AppError | undefined;
  /** Lets one work through, which must then be judged, once. Throws `refusal`. */
  admit(): Admission;
}

/** One work that was let through, and what it tells about the generator. */
export interface Admission {
  /** The work came out well. */
  succeed(): void;
  /** The work failed. */
  fail(error: AppError): void;
  /** The work ended without telling anything. */
  abandon(): void;
}

/** Options of `createBreaker`. */
export interface BreakerOptions {
  readonly generator: string;
  readonly clock: Pick<Clock, 'elapsed'>;
  /** Hears each change of its state. */
  onChange(state: BreakerState, reason: string | undefined): void;
}

/** A provider that says when to come back is well; until then it is left alone anyway. */
function saysWhen({ code, retryAfterMs }: AppError): boolean {
  return code === 'upstream_rate_limited' && retryAfterMs !== undefined;
}

/** A circuit breaker: opens after some failures in a row, then lets one work try now and then. */
export function createBreaker({ generator, clock, onChange }: BreakerOptions): Breaker {
  let state: BreakerState = 'closed';
  let reason: string | undefined;
  let failures = 0;
  let openedAt = 0;
  /** The one that tries, while the circuit is half open. */
  let trial: Admission | undefined;

  function become(next: BreakerState, why?: string): void {
    reason = why;
    if (state === next) return;
    state = next;
    onChange(state, reason);
  }

  function open(error: AppError): void {
    openedAt = clock.elapsed();
    const inARow = failures === 1 ? '' : ` ${failures} times in a row, lastly`;
    become('open', `It failed${inARow} as ${error.code}.`);
  }

  function leftMs(): number {
    return Math.max(0, OPEN_MS - (clock.elapsed() - openedAt));
  }

  function refusal(): AppError | undefined {
    if (state === 'closed' || (trial === undefined && leftMs() === 0)) return undefined;
    const message = `The generator ${generator} is left alone for a while. ${reason}`;
    return new AppError('generator_unavailable', message, { retryAfterMs: Math.max(1000, leftMs()) });
  }

  /** What was let through before it opened may fail long afterwards; then only the one that tries decides. */
  function createAdmission(): Admission {
    const admission: Admission = {
      succeed() {
        endTrial();
        failures = 0;
        become('closed');
      },
      fail(error) {
        const decides = state === 'closed' || trial === admission;
        endTrial();
        if (!decides || NOT_ITS_FAULT.has(error.code) || saysWhen(error)) return;
        failures += 1;
        if (state !== 'closed' || failures >= FAILURES || OPENS_AT_ONCE.has(error.code)) open(error);
      },
      abandon: endTrial,
    };
    function endTrial(): void {
      if (trial === admission) trial = undefined;
    }
    return admission;
  }

  return {
    get state() {
      return state;
    },
    get reason() {
      return reason;
    },
    get refusal() {
      return refusal();
    },
    admit() {
      const refused = refusal();
      if (refused !== undefined) throw refused;
      const admission = createAdmission();
      if (state !== 'closed') {
        trial = admission;
        become('half_open', reason);
      }
      return admission;
    },
  };
}
