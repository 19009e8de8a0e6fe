import { z } from 'zod';
import type { Secret } from '../../config/secrets.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import { statusFailure } from '../remote/failures.ts';
import type { UpstreamAnswer, UpstreamHttp } from '../remote/http.ts';
import type { JobState } from '../remote/job.ts';
import { parseJson, readJson } from '../remote/json.ts';
import { PROVIDER, rejected } from './provider.ts';
import type { FalResult } from './result.ts';
import { falResult } from './result.ts';

/** Longest a look, a result or a cancel may take, in ms. */
const READ_MS = 30_000;

/** Owners whose endpoints have one more part in front. */
const NAMESPACES: ReadonlySet<string> = new Set(['comfy', 'workflows']);

const submitted = z.object({ request_id: z.string().regex(/^[\w-]{1,128}$/) });
const looked = z.object({
  status: z.enum(['IN_QUEUE', 'IN_PROGRESS', 'COMPLETED']),
  metrics: z.object({ inference_time: z.number().nullish() }).nullish(),
});
const cancelledAnswer = z.object({ status: z.string() });
const requestError = z.object({ error_type: z.string() });
const modelErrors = z.object({ detail: z.array(z.object({ type: z.string() })) });

const STATES: Readonly<Record<z.infer<typeof looked>['status'], JobState>> = {
  IN_QUEUE: 'queued',
  IN_PROGRESS: 'running',
  COMPLETED: 'finished',
};

/** A job of the queue: its endpoint is part of every address. */
export interface FalJob {
  readonly endpoint: string;
  readonly requestId: string;
}

/** What a cancel has done; `requested`: a runner works on it and was asked to stop. */
export type FalCancel = 'removed' | 'requested' | 'completed' | 'unknown';

/** The queue's HTTP interface. */
export interface FalQueue {
  /** Asks for the work, once. Throws what `statusFailure` and `UpstreamHttp` say, and `content_rejected`. */
  submit(endpoint: string, input: unknown, signal: AbortSignal, onSent: () => void): Promise<FalJob>;
  /** Throws `result_expired` when the queue does not know the job. */
  look(job: FalJob, signal: AbortSignal): Promise<{ state: JobState; seconds: number | undefined }>;
  /** The result of a finished job. Throws `generator_failed` when the model has failed, which is not billed. */
  result(job: FalJob, signal: AbortSignal): Promise<FalResult>;
  cancel(job: FalJob, signal: AbortSignal): Promise<FalCancel>;
}

/** Options of `createFalQueue`. */
export interface FalQueueOptions {
  readonly http: UpstreamHttp;
  readonly clock: Clock;
  readonly key: Secret;
  readonly baseUrl: string;
}

/** Creates the client of the queue. */
export function createFalQueue({ http, clock, key, baseUrl }: FalQueueOptions): FalQueue {
  const base = baseUrl.replace(/\/$/, '');
  const headers = () => ({ authorization: `Key ${key.reveal()}`, accept: 'application/json' });
  const failure = (answer: UpstreamAnswer, submits = false) =>
    contentRejection(answer) ?? statusFailure(answer, { provider: PROVIDER, clock, submits });
  const read = (job: FalJob, path: string, signal: AbortSignal, method: 'GET' | 'PUT' = 'GET') =>
    http.exchange({ method, url: `${base}/${jobPath(job)}${path}`, headers: headers(), signal, timeoutMs: READ_MS });

  return {
    async submit(endpoint, input, signal, onSent) {
      const answer = await http.exchange({
        method: 'POST',
        url: `${base}/${endpoint}`,
        headers: { ...headers(), 'content-type': 'application/json' },
        body: JSON.stringify(input),
        signal,
        submits: true,
        onSent,
      });
      if (!isSuccess(answer)) throw failure(answer, true);
      return { endpoint, requestId: readJson(submitted, answer.body, PROVIDER).request_id };
    },

    async look(job, signal) {
      const answer = await read(job, '/status', signal);
      if (answer.status === 404) throw forgotten();
      if (!isSuccess(answer)) throw failure(answer);
      const { status, metrics } = readJson(looked, answer.body, PROVIDER);
      return { state: STATES[status], seconds: metrics?.inference_time ?? undefined };
    },

    async result(job, signal) {
      const answer = await read(job, '', signal);
      if (isSuccess(answer)) return readJson(falResult, answer.body, PROVIDER);
      if (answer.status === 404) throw forgotten();
      throw jobFailure(answer) ?? failure(answer);
    },

    async cancel(job, signal) {
      const answer = await read(job, '/cancel', signal, 'PUT');
      const said = cancelledAnswer.safeParse(parseJson(answer.body)).data?.status;
      if (answer.status === 404 || said === 'NOT_FOUND') return 'unknown';
      if (said === 'ALREADY_COMPLETED') return 'completed';
      if (!isSuccess(answer)) throw failure(answer);
      return said === 'CANCELLATION_REQUESTED' ? 'requested' : 'removed';
    },
  };
}

/** The job's address in the queue: owner and application, without the path inside of the application. */
function jobPath({ endpoint, requestId }: FalJob): string {
  const parts = endpoint.split('/');
  const app = parts.slice(0, NAMESPACES.has(parts[0] ?? '') ? 3 : 2);
  return `${app.join('/')}/requests/${requestId}`;
}

/**
 * Failures of the job itself, which its result shows: the queue names their type. They are told apart from failures of
 * this reading, which is tried again. The type is a word of a list that the provider documents.
 */
function jobFailure(answer: UpstreamAnswer): AppError | undefined {
  const type = requestError.safeParse(parseJson(answer.body)).data?.error_type ?? answer.headers['x-fal-error-type'];
  if (typeof type !== 'string') return undefined;
  const name = /^[a-z_]{1,40}$/.test(type) ? type : 'unknown';
  const retryable = answer.status >= 500;
  return new AppError('generator_failed', `${PROVIDER} could not finish the job (${name}).`, { retryable });
}

function contentRejection({ status, body }: UpstreamAnswer): AppError | undefined {
  if (status !== 422 && status !== 400) return undefined;
  const types = modelErrors.safeParse(parseJson(body)).data?.detail.map(({ type }) => type) ?? [];
  return types.includes('content_policy_violation') ? rejected() : undefined;
}

function forgotten(): AppError {
  return new AppError('result_expired', `${PROVIDER} does not know the job any more.`);
}

function isSuccess({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status < 300;
}
