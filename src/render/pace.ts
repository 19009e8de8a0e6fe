import type { Clock } from './clock.ts';

/** Part of a minute's works that may begin at once after a rest. */
const BURST = 0.1;
const MINUTE_MS = 60_000;
/** What sums of fractions may be off by. */
const ROUNDING_MS = 1e-6;

/** How fast a generator may be given work. */
export interface Pace {
  /** Works that may begin at once; infinite without a limit. */
  readonly tokens: number;
  /** How long until one more may begin, in ms. */
  waitMs(): number;
  /** One begins, whether or not it may: the next ones wait for it. */
  take(): void;
  /** The provider asks to be left alone for so long. */
  hold(ms: number): void;
}

/**
 * A token bucket, counted as the generic cell rate algorithm does (ITU-T I.371): `perMinute` works in the long run, a
 * tenth of that at once; without it, as many as come.
 */
export function createPace({
  perMinute,
  clock,
}: {
  perMinute: number | undefined;
  clock: Pick<Clock, 'elapsed'>;
}): Pace {
  const intervalMs = perMinute === undefined ? 0 : MINUTE_MS / perMinute;
  const burst = perMinute === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(perMinute * BURST));
  const toleranceMs = perMinute === undefined ? 0 : (burst - 1) * intervalMs;
  /** When the next one is due by the long-run pace. */
  let dueAt = clock.elapsed();
  let heldUntil = Number.NEGATIVE_INFINITY;

  /** How long until one more may begin by the pace alone. */
  function behindMs(): number {
    return Math.ceil(dueAt - toleranceMs - clock.elapsed() - ROUNDING_MS);
  }

  return {
    get tokens() {
      if (clock.elapsed() < heldUntil || behindMs() > 0) return 0;
      if (perMinute === undefined) return Number.POSITIVE_INFINITY;
      return Math.min(burst, 1 + Math.floor((ROUNDING_MS - (dueAt - toleranceMs - clock.elapsed())) / intervalMs));
    },
    waitMs: () => Math.max(0, behindMs(), heldUntil - clock.elapsed()),
    take() {
      dueAt = Math.max(dueAt, clock.elapsed()) + intervalMs;
    },
    hold(ms) {
      heldUntil = Math.max(heldUntil, clock.elapsed() + ms);
    },
  };
}
