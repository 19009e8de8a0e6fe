import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import { unknownOutcome } from './exchange.ts';
import type { UpstreamAnswer } from './http.ts';
import { outcomeOfStatus } from './http.ts';
import { readRetryAfter } from './retry-after.ts';

/** What `statusFailure` must know beside the answer. */
export interface FailureContext {
  /** What messages call the provider. */
  readonly provider: string;
  readonly clock: Pick<Clock, 'now'>;
  /** Whether the request asked for something that costs. */
  readonly submits: boolean;
}

/** A gateway answers these when it has lost the server behind it, which may have taken the request. */
const GATEWAY_STATUSES: ReadonlySet<number> = new Set([502, 504]);
/** Codes of submits that a provider has answered with a refusal, or that never reached it whole. */
const REFUSALS: ReadonlySet<string> = new Set([
  'upstream_failed',
  'upstream_rate_limited',
  'upstream_auth',
  'content_rejected',
]);
/** Client errors that pass. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425]);

/** What an answer that is not 2xx means. Nothing of its body is repeated: it may hold prompts, keys or markup. */
export function statusFailure(
  { status, headers }: Pick<UpstreamAnswer, 'status' | 'headers'>,
  { provider, clock, submits }: FailureContext,
): AppError {
  const retryAfterMs = readRetryAfter(headers['retry-after'], clock.now());
  const timing = retryAfterMs === undefined ? {} : { retryAfterMs };
  switch (outcomeOfStatus(status)) {
    case 'rate_limited':
      return new AppError('upstream_rate_limited', `${provider} takes no more requests for now (HTTP 429).`, timing);
    case 'auth':
      return new AppError('upstream_auth', `${provider} does not accept our key or account (HTTP ${status}).`);
    case 'server_error':
      if (submits && GATEWAY_STATUSES.has(status)) return unknownOutcome(provider);
      return new AppError('upstream_failed', `${provider} failed (HTTP ${status}).`, timing);
    default: {
      const retryable = PASSING_STATUSES.has(status);
      return new AppError('upstream_failed', `${provider} refused the request (HTTP ${status}).`, {
        retryable,
        ...timing,
      });
    }
  }
}

/** Whether a submit that failed so was not taken for sure. */
export function isRefusal(error: unknown): boolean {
  return error instanceof AppError && REFUSALS.has(error.code);
}

/** Reads what is paid already: a failure is final, since another try would submit, and pay, again. */
export async function paid<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const final = !(error instanceof AppError) || !error.retryable || error.code === 'generator_failed';
    if (final) throw error;
    throw new AppError(error.code, error.message, { cause: error, retryable: false });
  }
}

/** A submit whose unknown outcome may be followed by another submit, where the operator allows that. */
export async function submitting<T>(resubmitUnknown: boolean, submit: () => Promise<T>): Promise<T> {
  try {
    return await submit();
  } catch (error) {
    if (!resubmitUnknown || !(error instanceof AppError) || error.code !== 'outcome_unknown') throw error;
    throw new AppError(error.code, error.message, { cause: error, retryable: true });
  }
}

/** An answer that does not have the form that the provider documents. */
export function malformedAnswer(provider: string, cause?: unknown): AppError {
  const message = `${provider} answered in a form that is not known.`;
  return new AppError('invalid_output', message, cause === undefined ? {} : { cause });
}
