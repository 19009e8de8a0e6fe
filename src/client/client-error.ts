import type { ErrorCode, FieldIssue } from '../errors.ts';

/**
 * Why a call failed: the code of the server's problem, which a newer server may have more of, or one of ours.
 * `unreachable`: no answer, or the connection broke off; the server may have taken the request all the same.
 * `unexpected_answer`: what answered does not speak as an image server does.
 * `disconnected`: the event stream ended.
 */
export type ClientErrorCode = ErrorCode | 'unreachable' | 'unexpected_answer' | 'disconnected' | (string & {});

/** What a `ClientError` can carry beside its code and message. */
export interface ClientErrorOptions {
  readonly cause?: unknown;
  /** The answer's HTTP status. */
  readonly status?: number | undefined;
  readonly issues?: readonly FieldIssue[] | undefined;
  readonly retryable: boolean;
  readonly retryAfterMs?: number | undefined;
}

/** The only error that the client throws on purpose, beside the reason of an aborted signal. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** The answer's HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  /** What is wrong with which field; empty when the server named none. */
  readonly issues: readonly FieldIssue[];
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** When to try again, in ms from now, if the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ClientErrorCode, message: string, options: ClientErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.issues = options.issues ?? [];
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
  }
}
