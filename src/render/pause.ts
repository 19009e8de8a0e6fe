import type { Clock } from './clock.ts';

/** Resolves after `ms`, or as soon as the signal is aborted. */
export async function pause(clock: Pick<Clock, 'after'>, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  const wake = () => resolve();
  signal.addEventListener('abort', wake);
  await promise;
  cancel();
  signal.removeEventListener('abort', wake);
}
