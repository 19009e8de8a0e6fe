import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import { pause } from '../pause.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

/** Codes of failures that a read may get over by being asked again. */
const PASSING: ReadonlySet<string> = new Set(['upstream_failed', 'upstream_timeout', 'upstream_rate_limited']);

/** Options of `readAgain`. */
export interface ReadAgainOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Most tries; `Infinity` for as long as the signal lives. */
  readonly tries: number;
  /** Whether an answer that cannot be read may be a proxy's or a hotspot's page, which passes as well. */
  readonly pagesPass?: boolean;
}

/**
 * Repeats a read, which costs nothing, while it fails in passing: with growing pauses, or those that the provider asks
 * for. Never for anything that submits. Throws the last failure, or the signal's reason.
 */
export async function readAgain<T>(read: () => Promise<T>, options: ReadAgainOptions): Promise<T> {
  const { clock, signal, tries } = options;
  for (let count = 1; ; count += 1) {
    try {
      return await read();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AppError) || !passes(error, options) || count >= tries) throw error;
      const growing = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (count - 1));
      await pause(clock, Math.max(growing, error.retryAfterMs ?? 0), signal);
    }
  }
}

function passes({ code, retryable }: AppError, { pagesPass = false }: ReadAgainOptions): boolean {
  return (retryable && PASSING.has(code)) || (pagesPass && code === 'invalid_output');
}
