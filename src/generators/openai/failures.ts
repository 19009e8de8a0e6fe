import { AppError } from '../../errors.ts';
import type { FailureContext } from '../remote/failures.ts';
import { statusFailure } from '../remote/failures.ts';
import type { UpstreamAnswer } from '../remote/http.ts';
import { parseJson } from '../remote/json.ts';
import { PROVIDER } from './provider.ts';
import { errorSchema } from './wire.ts';

/** Codes of refusals for what the prompt or an image shows. */
const REJECTED: ReadonlySet<string> = new Set(['moderation_blocked', 'content_policy_violation']);
/** Codes of accounts that cannot pay. OpenAI sends them with the statuses of other troubles: 429 and 400. */
const UNPAID: ReadonlySet<string> = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active']);

/** What an answer that is not 2xx means; its text is not repeated. */
export function failureOf(answer: UpstreamAnswer, clock: FailureContext['clock']): AppError {
  return namedFailure(parseJson(answer.body)) ?? statusFailure(answer, { provider: PROVIDER, clock, submits: true });
}

/** What an `error` event of a stream means. */
export function streamFailure(event: unknown): AppError {
  return namedFailure(event) ?? new AppError('upstream_failed', `${PROVIDER} failed while it drew the image.`);
}

/** The failure that an error's code or type names, if we know it. */
function namedFailure(body: unknown): AppError | undefined {
  const { code, type } = errorSchema.safeParse(body).data?.error ?? {};
  const names = [code ?? '', type ?? ''];
  if (names.some((name) => REJECTED.has(name))) {
    return new AppError('content_rejected', `${PROVIDER} refuses to draw this request.`);
  }
  if (names.some((name) => UNPAID.has(name))) {
    return new AppError('upstream_auth', `The account at ${PROVIDER} has no credit.`);
  }
  return undefined;
}
