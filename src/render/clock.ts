/** Time, as far as decisions depend on it; tests inject their own. */
export interface Clock {
  /** Wall-clock time in ms since 1970; may jump. */
  now(): number;
  /** Ms from a fixed point; never jumps, for durations. */
  elapsed(): number;
  /** Calls `fn` once after `ms`, or after 24.8 days when that is more. Returns how to cancel it. */
  after(ms: number, fn: () => void): () => void;
}

/**
 * Ms since 1970 by a clock that is right when this is called, unless that would be before `atLeast`, and never jumps
 * from then on.
 */
export function createSteadyTime(clock: Pick<Clock, 'now' | 'elapsed'>, atLeast = 0): () => number {
  const offset = Math.max(clock.now(), atLeast) - clock.elapsed();
  return () => Math.round(offset + clock.elapsed());
}

/** Node's timers overflow above this and would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The real time. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, Math.min(ms, MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
