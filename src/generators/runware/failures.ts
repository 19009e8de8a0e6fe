import { AppError } from '../../errors.ts';
import { PROVIDER } from './provider.ts';
import type { TaskError } from './wire.ts';

/** What a code may say, in the order in which the provider's names are read: `providerContentPolicyViolation`. */
const MEANINGS = [
  { names: /content(Policy|Moderation)|moderation|sensitive|nsfw|unsafe|(prompt|image)Blocked/i, means: 'rejected' },
  { names: /^(conflictTaskUUID)$/, means: 'taken' },
  { names: /^task(FailedOr)?NotFound$|^taskExpired$/, means: 'lost' },
  { names: /rateLimit/i, means: 'busy' },
  { names: /^(?!provider).*(apiKey|auth|forbidden|permission|token|suspended|disabled)/i, means: 'refused' },
  { names: /^(?!provider|thirdParty).*(insufficientCredits|quota|payment)/i, means: 'refused' },
  {
    names: /^(invalid|missing|unsupported|unknown(Parameter|Model)|incompatible|mismatch|value|array|max)/,
    means: 'wrong',
  },
  { names: /validation|NotFound$/i, means: 'wrong' },
] as const;

/** What an error of the provider means to us; `failed` is what may pass. */
export type Meaning = (typeof MEANINGS)[number]['means'] | 'failed';

/** What a code means. The provider adds codes without notice, so words in them decide. */
export function meaningOf(code: string): Meaning {
  return MEANINGS.find(({ names }) => names.test(code))?.means ?? 'failed';
}

/** The failure that an error stands for; its text is not repeated. */
export function failureOf({ code }: Pick<TaskError, 'code'>): AppError {
  // Codes are words of the provider's API; whatever else comes is not shown.
  const named = /^[A-Za-z]{1,60}$/.test(code) ? ` (${code})` : '';
  switch (meaningOf(code)) {
    case 'rejected':
      return new AppError('content_rejected', `${PROVIDER} refuses to draw this request.`);
    case 'busy':
      return new AppError('upstream_rate_limited', `${PROVIDER} takes no more requests for now.`);
    case 'refused':
      return new AppError('upstream_auth', `${PROVIDER} does not accept our key or account${named}.`);
    case 'wrong':
      return new AppError('upstream_failed', `${PROVIDER} refused the request${named}.`, { retryable: false });
    case 'lost':
      return new AppError('outcome_unknown', `${PROVIDER} knows nothing of the work it was asked for.`);
    default:
      return new AppError('upstream_failed', `${PROVIDER} failed${named}.`);
  }
}
