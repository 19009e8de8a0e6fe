/** Every way in which a call or a render can fail. `docs/errors.md` explains each; a test holds the two together. */
export const ERRORS = {
  // What a caller got wrong.
  malformed_json: { title: 'The body is not valid JSON', retryable: false },
  malformed_message: { title: 'The bus message cannot be read', retryable: false },
  unsupported_message: { title: 'This type of bus message is not served here', retryable: false },
  message_too_large: { title: 'The bus message is too large', retryable: false },
  invalid_request: { title: 'The request is not valid', retryable: false },
  unknown_generator: { title: 'There is no such generator', retryable: false },
  unsupported_field: { title: 'The generator cannot honour a field', retryable: false },
  invalid_image: { title: 'An input image cannot be used', retryable: false },
  uri_not_allowed: { title: 'Images may not be read from this place', retryable: false },
  request_id_conflict: { title: 'The request_id belongs to another request', retryable: false },
  idempotency_key_conflict: { title: 'The Idempotency-Key belongs to another request', retryable: false },
  unsupported_media_type: { title: 'The content type is not accepted', retryable: false },
  body_too_large: { title: 'The body is too large', retryable: false },
  request_timeout: { title: 'The request took too long to arrive', retryable: true },
  bad_request: { title: 'The HTTP request cannot be read', retryable: false },
  upgrade_required: { title: 'This address speaks WebSocket', retryable: false },
  forbidden_host: { title: 'The server does not answer to this host name', retryable: false },
  forbidden_origin: { title: 'The Origin is not allowed', retryable: false },
  not_found: { title: 'There is nothing here', retryable: false },
  method_not_allowed: { title: 'The method is not allowed here', retryable: false },
  render_not_found: { title: 'There is no such render', retryable: false },
  image_not_found: { title: 'There is no such image', retryable: false },
  image_evicted: { title: 'The image is not kept any more', retryable: false },
  // What the server cannot do now.
  queue_full: { title: 'The queue is full', retryable: true },
  draining: { title: 'The server is stopping', retryable: true },
  generator_unavailable: { title: 'The generator is not available', retryable: true },
  spend_limit: { title: 'The budget of the day is used up', retryable: true },
  storage_full: { title: 'The disk is full', retryable: true },
  storage_failed: { title: 'The storage does not work', retryable: true },
  // How an accepted render ends without an image.
  generator_crashed: { title: 'The generator’s process died', retryable: true },
  generator_failed: { title: 'The generator failed', retryable: true },
  content_rejected: { title: 'The provider refuses this content', retryable: false },
  upstream_failed: { title: 'The provider failed', retryable: true },
  upstream_rate_limited: { title: 'The provider takes no more requests for now', retryable: true },
  upstream_auth: { title: 'The provider does not accept the key', retryable: false },
  upstream_timeout: { title: 'The provider did not answer in time', retryable: true },
  outcome_unknown: { title: 'Whether the provider took the work is unknown', retryable: false },
  invalid_output: { title: 'The provider sent no usable image', retryable: false },
  unsafe_result_url: { title: 'The provider’s image lies where none may be fetched from', retryable: false },
  result_expired: { title: 'The provider’s image is gone', retryable: false },
  queue_timeout: { title: 'The render waited too long', retryable: true },
  render_timeout: { title: 'The render took too long', retryable: true },
  cancelled: { title: 'The render was cancelled', retryable: false },
  superseded: { title: 'A newer request took its place', retryable: false },
  crashed: { title: 'The server stopped during the render too often', retryable: true },
  internal: { title: 'An error inside the server', retryable: true },
  outbox_overflow: { title: 'Results for the bus are dropped', retryable: false },
  // Why the process does not start.
  config_invalid: { title: 'The configuration is not valid', retryable: false },
  port_in_use: { title: 'The address is taken by another process', retryable: false },
  data_dir_in_use: { title: 'Another process uses the data directory', retryable: false },
  journal_unreadable: { title: 'The journal cannot be opened', retryable: false },
} as const satisfies Record<string, { title: string; retryable: boolean }>;

/** A code of `ERRORS`. */
export type ErrorCode = keyof typeof ERRORS;

/** One thing wrong with one field. `path` is dotted, as in `reference_image.uri`. */
export interface FieldIssue {
  readonly path: string;
  readonly message: string;
}

/** What of an error may leave the program and be kept in the journal. */
export interface PublicError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

/** What an `AppError` can carry beside its code and message. */
export interface AppErrorOptions {
  /** The internal error behind it: logged, never shown. */
  readonly cause?: unknown;
  /** Overrides the code's default. */
  readonly retryable?: boolean;
  readonly issues?: readonly FieldIssue[];
  /** When to try again, in ms from now. */
  readonly retryAfterMs?: number;
}

/** The only error that parts throw on purpose. Its `message` is public: no paths, keys or upstream text. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly issues: readonly FieldIssue[];
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? ERRORS[code].retryable;
    this.issues = options.issues ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The part that may leave the program. */
  toPublic(): PublicError {
    return { code: this.code, message: this.message, retryable: this.retryable };
  }
}

/** Any thrown value as an `AppError`; what we did not throw ourselves becomes `internal`, with the value as cause. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('internal', 'The server met an error that it did not expect.', { cause: error });
}
