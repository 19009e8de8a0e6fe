import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';

/** How long the log is silent about refused connections after a line about them, in ms. */
const SILENT_MS = 60_000;

/** Options of `createRefusalWatch`. */
export interface RefusalWatchOptions {
  /** Hears of each. */
  count(): void;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly log: Logger;
}

/** Hears of connections for which there was no room; whoever knocks cannot fill the log with them. */
export function createRefusalWatch({ count, clock, log }: RefusalWatchOptions): () => void {
  let refused = 0;
  let silentUntil = Number.NEGATIVE_INFINITY;
  return () => {
    count();
    refused += 1;
    if (clock.elapsed() < silentUntil) return;
    log.warn({ refused }, 'there are too many connections; new ones are refused');
    refused = 0;
    silentUntil = clock.elapsed() + SILENT_MS;
  };
}
