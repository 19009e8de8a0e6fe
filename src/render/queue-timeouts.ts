import { AppError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';

/** How long after trouble to look again, in ms. */
const RETRY_MS = 1000;

/** Options of `createQueueTimeouts`. */
export interface QueueTimeoutOptions {
  readonly journal: Pick<Journal, 'expireQueued'>;
  readonly clock: Clock;
  /** See `Journal`. */
  readonly steadyNow: () => number;
  readonly log: Logger;
}

/** Ends what waits for too long. */
export interface QueueTimeouts {
  /** Something waits until then, by the steady clock. */
  expect(until: number): void;
  /** Ends what has waited too long by now, and looks again when the next one will have. */
  look(): Promise<void>;
  stop(): void;
}

/** Creates the time-outs of the queue: one timer, for whoever comes first. */
export function createQueueTimeouts({ journal, clock, steadyNow, log }: QueueTimeoutOptions): QueueTimeouts {
  const unstarted = new AppError('queue_timeout', 'The render waited longer than its queue_timeout_s.').toPublic();
  const started = new AppError(
    'render_timeout',
    'The time of the render ended while it waited for a fallback.',
  ).toPublic();
  let next: { readonly at: number; readonly cancel: () => void } | undefined;
  let stopped = false;

  function expect(until: number): void {
    if (stopped || (next !== undefined && next.at <= until)) return;
    next?.cancel();
    next = { at: until, cancel: clock.after(Math.max(0, until - steadyNow()), () => void look()) };
  }

  async function look(): Promise<void> {
    next?.cancel();
    next = undefined;
    try {
      const { expired, nextAt } = await journal.expireQueued({
        unstarted,
        started,
        at: clock.now(),
        steadyAt: steadyNow(),
      });
      if (expired > 0) log.warn({ expired }, 'renders waited for too long');
      if (nextAt !== undefined) expect(nextAt);
    } catch (error) {
      if (stopped) return;
      log.error({ err: error }, 'what waits for too long could not be ended');
      expect(steadyNow() + RETRY_MS);
    }
  }

  return {
    expect,
    look,
    stop() {
      stopped = true;
      next?.cancel();
    },
  };
}
