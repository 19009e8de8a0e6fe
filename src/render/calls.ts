import { hash } from 'node:crypto';
import { AppError } from '../errors.ts';
import { invalidRequest } from '../messages/render-request.ts';
import type { Submission } from './prepare.ts';

/** Throws `invalid_request` when two requests of one call have the same id. */
export function refuseTwins({ submissions }: { readonly submissions: readonly Submission[] }): void {
  const seen = new Map<string, number>();
  for (const [index, { request }] of submissions.entries()) {
    if (request.request_id === undefined) continue;
    const twin = seen.get(request.request_id);
    const path = `requests.${index}.request_id`;
    if (twin !== undefined) throw invalidRequest([{ path, message: `is that of requests.${twin} as well` }]);
    seen.set(request.request_id, index);
  }
}

/** The same error, saying which of several requests it is about. */
export function named(error: AppError, index: number): AppError {
  const issues = error.issues.map(({ path, message }) => ({ path: `requests.${index}.${path}`, message }));
  const { cause, retryable, retryAfterMs } = error;
  return new AppError(error.code, `requests.${index}: ${error.message}`, {
    ...{ cause, retryable, issues },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Equal for the same requests in the same order. */
export function hashOfCall(bodyHashes: readonly string[]): string {
  return hash('sha256', bodyHashes.join());
}
