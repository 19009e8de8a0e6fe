import type { AppError } from '../errors.ts';

/** Pause before the first retry; each further one is twice as long. In ms. */
const BASE_MS = 1000;
/** Longest pause that is our own choice, in ms. */
const MAX_MS = 30_000;

/** What may pass some day, but not by trying at once again. */
const LATER: ReadonlySet<string> = new Set([
  'generator_unavailable',
  'spend_limit',
  'render_timeout',
  'crashed',
  'draining',
]);

/** Options of `retryDelay`. */
export interface RetryOptions {
  /** How often this generator has failed at the work, this time included. */
  readonly failures: number;
  /** Most retries of a work by a generator. */
  readonly retries: number;
  /** How long somebody still waits, in ms. */
  readonly leftMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * How long to wait before the generator tries again, in ms; undefined when it shall not. Exponential back-off with
 * equal jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter), never sooner than the
 * provider asks.
 */
export function retryDelay(error: AppError, { failures, retries, leftMs, random }: RetryOptions): number | undefined {
  if (!error.retryable || LATER.has(error.code) || failures > retries) return undefined;
  const backOffMs = Math.min(MAX_MS, BASE_MS * 2 ** (failures - 1));
  const delayMs = Math.ceil(Math.max(backOffMs * (0.5 + random() / 2), error.retryAfterMs ?? 0));
  return delayMs < leftMs ? delayMs : undefined;
}
