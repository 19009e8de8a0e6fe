import type { Clock } from '../../render/clock.ts';

/** How long work at a provider may still be wound up after it was stopped, in ms. */
export const GRACE_MS = 2000;

/**
 * Runs `task` with a signal that is aborted `GRACE_MS` after `signal` is: for requests whose answers are worth having
 * even then.
 */
export async function withGrace<T>(
  clock: Clock,
  signal: AbortSignal,
  task: (late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  let cancelTimer = () => {};
  const stop = () => {
    cancelTimer = clock.after(GRACE_MS, () => late.abort(signal.reason));
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    return await task(late.signal);
  } finally {
    signal.removeEventListener('abort', stop);
    cancelTimer();
  }
}
