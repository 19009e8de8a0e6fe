import type { Secret } from '../../config/secrets.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { UpstreamRequest } from '../remote/exchange.ts';
import { malformedAnswer, statusFailure } from '../remote/failures.ts';
import type { UpstreamHttp } from '../remote/http.ts';
import { parseJson } from '../remote/json.ts';
import { failureOf, meaningOf } from './failures.ts';
import { PROVIDER } from './provider.ts';
import type { Answer } from './wire.ts';
import { answerSchema } from './wire.ts';

/** Ms that a look at a job may take; it is tried again. */
const LOOK_MS = 20_000;

/** The part of Runware's API that draws. Everything goes to one address, as a list of tasks. */
export interface RunwareApi {
  /** Asks for work. Errors of single tasks come in the answer. Throws `outcome_unknown`, `upstream_…` and the signal's reason. */
  submit(tasks: readonly object[], signal: AbortSignal, onSent: () => void): Promise<Answer>;
  /** Where tasks stand, and the results of those that are done. */
  look(ids: readonly string[], signal: AbortSignal): Promise<Answer>;
}

/** Options of `createRunwareApi`. */
export interface RunwareApiOptions {
  readonly http: UpstreamHttp;
  readonly baseUrl: string;
  readonly key: Secret | undefined;
  readonly clock: Clock;
}

/** The API by REST; the official package resends paid work under a new id when an answer is late. */
export function createRunwareApi({ http, baseUrl, key, clock }: RunwareApiOptions): RunwareApi {
  async function post(
    tasks: readonly object[],
    rest: Pick<UpstreamRequest, 'signal' | 'timeoutMs' | 'onSent'> & { readonly submits: boolean },
  ): Promise<Answer> {
    const body = JSON.stringify(tasks);
    const answer = await http.exchange({
      method: 'POST',
      url: baseUrl,
      headers: {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...(key === undefined ? {} : { authorization: `Bearer ${key.reveal()}` }),
      },
      body,
      ...rest,
    });
    const { status } = answer;
    const byStatus = () => statusFailure(answer, { provider: PROVIDER, clock, submits: rest.submits });
    if (status === 429 || status >= 500) throw byStatus();
    const ok = status >= 200 && status <= 299;
    const parsed = answerSchema.safeParse(parseJson(answer.body)).data;
    if (parsed === undefined) throw ok ? unreadable(rest.submits) : byStatus();
    const { data: results = [], errors = [] } = parsed;
    // An error of no task in particular is one of the whole request, and its code often says more than the status.
    const general = errors.find(({ taskUUID }) => (taskUUID ?? '') === '');
    if (general !== undefined) {
      throw meaningOf(general.code) === 'failed' && !ok ? byStatus() : failureOf(general);
    }
    return { results, errors };
  }

  return {
    submit: (tasks, signal, onSent) => post(tasks, { signal, submits: true, onSent }),
    look: (ids, signal) =>
      post(
        ids.map((taskUUID) => ({ taskType: 'getResponse', taskUUID })),
        { signal, submits: false, timeoutMs: LOOK_MS },
      ),
  };
}

/** A look that cannot be read costs nothing and is made again: what it looks at may be paid. */
function unreadable(submits: boolean): AppError {
  const malformed = malformedAnswer(PROVIDER);
  return submits ? malformed : new AppError('upstream_failed', malformed.message, { cause: malformed });
}
