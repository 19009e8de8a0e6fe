import { randomUUID } from 'node:crypto';
import { AppError, asAppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { GenerateHooks, LeftCost } from '../generator.ts';
import { pause } from '../pause.ts';
import { unknownOutcome } from './exchange.ts';
import { isRefusal } from './failures.ts';
import { GRACE_MS, withGrace } from './grace.ts';
import { readAgain } from './reads.ts';
import { createStages } from './stages.ts';

/** Where a provider's job stands; `finished` also when it has failed. */
export type JobState = 'queued' | 'running' | 'finished';

/** One work at a provider that gives jobs an id. */
export interface RemoteJob<Prepared, Result> {
  /** Everything before the submit that costs nothing: uploads, conversions. */
  prepare(signal: AbortSignal): Promise<Prepared>;
  /** The id that the work will have at the provider, where it is ours to choose. */
  idOf?(prepared: Prepared): string;
  /** Asks for the work, once; resolves with the provider's id of it. `onSent` hears that the request leaves. */
  submit(prepared: Prepared, signal: AbortSignal, onSent: () => void): Promise<string>;
  look(id: string, signal: AbortSignal): Promise<JobState>;
  /** Result and images of a finished job; throws why there are none. Reports the cost. */
  collect(id: string, signal: AbortSignal): Promise<Result>;
  /** Asks the provider to stop. True when it is certain that the job neither goes on nor is billed. */
  cancel(id: string, signal: AbortSignal): Promise<boolean>;
  /** What a finished job that nobody collects has cost, in USD; nothing when that cannot be known. */
  costOf(id: string, signal: AbortSignal): Promise<number | undefined>;
}

/** What `runJob` works with. */
export interface JobContext {
  readonly hooks: GenerateHooks;
  /** Aborted with the hooks' signal, and when the generator is closed. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Pause between two looks, in ms. */
  readonly pollMs: number;
  /** What messages call the provider. */
  readonly provider: string;
  /** Whether a submit may follow one whose answer never came. */
  readonly resubmitUnknown: boolean;
}

/** Begins what is journalled in the place of a job's id, until the answer to its submit tells that. */
const MARKER = 'submitting:';

/**
 * The recipe of every job: have it journalled that a submit leaves, submit, have the id journalled, wait, collect. With
 * `hooks.remoteId` it goes on with that job and submits nothing. While a job exists, troubles of the network never end the waiting: a new submit would be paid
 * again. Once stopped it cancels the job, says truthfully whether that has worked, and rejects within 2 s.
 */
export async function runJob<P, R>(job: RemoteJob<P, R>, context: JobContext): Promise<R> {
  const { hooks, signal, clock } = context;
  return await withGrace(clock, signal, async (late) => {
    const earlier = earlierJob(context);
    const id = await (earlier === undefined ? begin(job, context, late) : resume(hooks, earlier));
    try {
      return await finish(job, id, context);
    } catch (error) {
      if (!signal.aborted) throw error;
      await leave(job, id, context, late);
      throw signal.reason;
    }
  });
}

/** A submit of an earlier try that never heard may have been taken, and is paid then: that cannot be found out. */
function earlierJob({ hooks, provider, resubmitUnknown }: JobContext): string | undefined {
  const { remoteId } = hooks;
  if (remoteId === undefined || !isMarker(remoteId)) return remoteId;
  if (!resubmitUnknown) throw unknownOutcome(provider);
  return undefined;
}

/** Whether this stands for a submit, and not for a job that could be asked about. */
export function isMarker(remoteId: string): boolean {
  return remoteId.startsWith(MARKER);
}

/** The id stands with the earlier try; this one may be broken off as well, so it is noted with this one too. */
async function resume(hooks: GenerateHooks, id: string): Promise<string> {
  await hooks.onRemoteId(id);
  return id;
}

/** Submits, once the next start would know of it. */
async function begin<P, R>(job: RemoteJob<P, R>, context: JobContext, late: AbortSignal): Promise<string> {
  const { hooks, signal, clock } = context;
  const prepared = await job.prepare(signal);
  signal.throwIfAborted();
  const noted = job.idOf?.(prepared) ?? `${MARKER}${randomUUID()}`;
  await hooks.onRemoteId(noted);
  const id = await submitNoted(job, prepared, noted, context, late);
  if (id === noted) return id;
  try {
    await hooks.onRemoteId(id);
    return id;
  } catch (error) {
    // After a crash nobody could collect it.
    if (!(await cancelled(job, id, clock, late))) hooks.onDetached();
    throw error;
  }
}

/**
 * Once stopped it breaks off what has not left. The answer to what has left is waited for even when nobody wants the work
 * any more, for with its id it can be cancelled. Where the provider has nothing for sure, neither has the journal then.
 */
async function submitNoted<P, R>(
  job: RemoteJob<P, R>,
  prepared: P,
  noted: string,
  { hooks, signal }: JobContext,
  late: AbortSignal,
): Promise<string> {
  const unsent = new AbortController();
  const breakOff = () => unsent.abort(signal.reason);
  let sent = false;
  const onSent = () => {
    sent = true;
    signal.removeEventListener('abort', breakOff);
  };
  signal.addEventListener('abort', breakOff, { once: true });
  try {
    signal.throwIfAborted();
    return await job.submit(prepared, AbortSignal.any([late, unsent.signal]), onSent);
  } catch (error) {
    if (!signal.aborted) throw error;
    const isTaken = sent && !isRefusal(error);
    if (isTaken) hooks.onDetached();
    // An id of ours can be asked about: of several tasks only some may have been refused.
    const isForgotten = !sent || (!isTaken && isMarker(noted));
    if (isForgotten) await hooks.onRemoteId(hooks.remoteId);
    throw signal.reason;
  } finally {
    signal.removeEventListener('abort', breakOff);
  }
}

async function finish<P, R>(job: RemoteJob<P, R>, id: string, context: JobContext): Promise<R> {
  const { hooks, signal, clock, pollMs } = context;
  const reach = createStages(hooks.onProgress, signal);
  reach('accepted');
  for (;;) {
    const state = await readAgain(() => job.look(id, signal), { clock, signal, tries: Infinity, pagesPass: true });
    if (state !== 'queued') reach('started');
    if (state === 'finished') break;
    await pause(clock, pollMs, signal);
  }
  reach('finished');
  const result = await job.collect(id, signal);
  reach('fetched');
  return result;
}

/** A job whose id is journalled goes on while the server is away: the next start collects it. */
async function leave<P, R>(job: RemoteJob<P, R>, id: string, context: JobContext, late: AbortSignal): Promise<void> {
  const { hooks, clock } = context;
  const stopped = hooks.signal.aborted && asAppError(hooks.signal.reason).code !== 'draining';
  if (stopped && !(await cancelled(job, id, clock, late))) hooks.onDetached();
}

async function cancelled<P, R>(job: RemoteJob<P, R>, id: string, clock: Clock, late: AbortSignal): Promise<boolean> {
  const limit = new AbortController();
  const cancelTimer = clock.after(GRACE_MS, () => limit.abort(new AppError('upstream_timeout', 'Too late.')));
  try {
    return await job.cancel(id, AbortSignal.any([late, limit.signal]));
  } catch (error) {
    // What cannot be cancelled goes on, and that is what the answer says.
    if (error instanceof AppError || late.aborted) return false;
    throw error;
  } finally {
    cancelTimer();
  }
}

/** Looks once whether a job that nobody waits for is over, and then what it has cost. Without its id nobody can. */
export async function costOfLeft<P, R>(job: RemoteJob<P, R>, id: string, signal: AbortSignal): Promise<LeftCost> {
  if (isMarker(id)) return 'unknown';
  try {
    if ((await job.look(id, signal)) !== 'finished') return 'open';
    return (await job.costOf(id, signal)) ?? 'unknown';
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'invalid_output') throw error;
    // A proxy's or a hotspot's page, which passes.
    throw new AppError('upstream_failed', error.message, { cause: error });
  }
}
