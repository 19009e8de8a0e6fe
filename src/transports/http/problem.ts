import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ErrorCode } from '../../errors.ts';
import { AppError, asAppError, ERRORS } from '../../errors.ts';
import { invalidRequest, unknownField } from '../../messages/render-request.ts';

/** Media type of every error body (RFC 9457). */
export const PROBLEM_TYPE = 'application/problem+json';

/** HTTP status of each code; codes of the bus and of the process itself never get here and would be our fault. */
export const STATUS: Record<ErrorCode, number> = {
  malformed_json: 400,
  malformed_message: 500,
  unsupported_message: 500,
  message_too_large: 500,
  invalid_request: 422,
  unknown_generator: 422,
  unsupported_field: 422,
  invalid_image: 422,
  uri_not_allowed: 403,
  request_id_conflict: 409,
  idempotency_key_conflict: 422,
  unsupported_media_type: 415,
  body_too_large: 413,
  request_timeout: 408,
  bad_request: 400,
  upgrade_required: 426,
  forbidden_host: 421,
  forbidden_origin: 403,
  not_found: 404,
  method_not_allowed: 405,
  render_not_found: 404,
  image_not_found: 404,
  image_evicted: 410,
  queue_full: 429,
  draining: 503,
  generator_unavailable: 503,
  spend_limit: 503,
  storage_full: 507,
  storage_failed: 507,
  generator_crashed: 502,
  generator_failed: 502,
  content_rejected: 422,
  upstream_failed: 502,
  upstream_rate_limited: 503,
  upstream_auth: 503,
  upstream_timeout: 504,
  outcome_unknown: 502,
  invalid_output: 502,
  unsafe_result_url: 502,
  result_expired: 502,
  queue_timeout: 504,
  render_timeout: 504,
  cancelled: 409,
  superseded: 409,
  crashed: 500,
  internal: 500,
  outbox_overflow: 500,
  config_invalid: 500,
  port_in_use: 500,
  data_dir_in_use: 500,
  journal_unreadable: 500,
};

/** The body of an error answer. */
export const problem = z
  .object({
    type: z.string().describe('A stable name of the code'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    retryable: z.boolean().describe('Whether the same request may succeed later'),
    request_id: z.string().describe('The request_id of the body, else a name of this HTTP request'),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });
/** A body of `problem`. */
export type Problem = z.infer<typeof problem>;

/** An error as a problem. */
export function toProblem(error: AppError, requestId: string): Problem {
  return {
    type: `urn:image-server:problem:${error.code}`,
    title: ERRORS[error.code].title,
    status: STATUS[error.code],
    detail: error.message,
    code: error.code,
    retryable: error.retryable,
    request_id: requestId,
    ...(error.issues.length === 0 ? {} : { errors: [...error.issues] }),
  };
}

const unknownKeys = z.object({
  keyword: z.literal('unrecognized_keys'),
  params: z.object({ keys: z.array(z.string()) }),
});

/** What Fastify and its plugins throw, in our codes. Anything unknown is `internal`. `bodyLimit` is the route's. */
export function fromHttpError(error: unknown, bodyLimit: number | undefined): AppError {
  if (error instanceof AppError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const issues = error.validation.flatMap(({ instancePath, message, keyword, params }) => {
      const path = instancePath.slice(1).replaceAll('/', '.');
      const unknown = unknownKeys.safeParse({ keyword, params });
      if (!unknown.success) return [{ path, message: message ?? 'is not valid' }];
      return unknown.data.params.keys.map((key) => unknownField(path === '' ? key : `${path}.${key}`));
    });
    return invalidRequest(issues);
  }
  switch ((error as Partial<FastifyError>).code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('unsupported_media_type', 'The body must be application/json.');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('body_too_large', `The body is larger than the ${bodyLimit} bytes that are accepted here.`);
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new AppError('malformed_json', 'The body must be one JSON object, without NaN, Infinity or __proto__.');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
    case 'FST_ERR_ASYNC_CONSTRAINT':
      return new AppError('bad_request', 'The address or the headers of the request cannot be read.');
  }
  return asAppError(error);
}
