import type { ErrorCode, PublicError } from '../errors.ts';
import { AppError, asAppError } from '../errors.ts';
import type { GeneratorChoice } from '../generators/generator.ts';
import type { AttemptOutcome } from '../messages/outputs.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import type { Fallbacks } from './fallbacks.ts';
import { NEAREST, nameOf } from './fallbacks.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import { pause } from './pause.ts';
import type { RenderImage, Waiter, WorkResult } from './records.ts';
import type { RunningWork } from './running.ts';

/** How long to wait before storage that failed is tried again, in ms. */
export const STORAGE_RETRY_MS = 1000;

/** How often is tried what fails for another reason than the storage; each pause is twice as long as the last one. */
const ODD_TRIES = 5;

/** The longest of those pauses, in ms. */
const LONGEST_PAUSE_MS = 60_000;

/** Codes of failures after which nobody can know whether the provider took the work. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['outcome_unknown']);

/** Options of `createEndings`. */
export interface EndingOptions {
  readonly journal: Journal;
  readonly store: Pick<ImageStore, 'has'>;
  readonly fallbacks: Fallbacks;
  readonly clock: Clock;
  /** See `Journal`. */
  readonly steadyNow: () => number;
  readonly log: Logger;
  /** Aborted when the server stops: then nothing is tried again. */
  readonly stopping: AbortSignal;
  /** Stops work that nobody waits for any more. */
  stop(workId: string, reason: AppError): void;
  /** Hears that work waits in another generator's queue now. */
  onPassed(generator: string): void;
}

/** Writes into the journal how attempts and works end. Nothing here rejects. */
export function createEndings(options: EndingOptions) {
  const { journal, store, fallbacks, clock, steadyNow, stopping, log } = options;

  /**
   * Tries until it is written, since an end that is not in the journal would be lost. What is no trouble with the
   * storage may fail for ever: that is given up after some tries, as everything is when the server stops.
   */
  async function persist<T>(
    what: string,
    context: object,
    write: () => Promise<T>,
    oddTries = ODD_TRIES,
  ): Promise<T | undefined> {
    for (let odd = 0; ; ) {
      try {
        return await write();
      } catch (error) {
        log.error({ ...context, err: error }, `${what} could not be written`);
        const passing = ['storage_full', 'storage_failed'].includes(asAppError(error).code);
        if (!passing) odd += 1;
        if (stopping.aborted || odd === oddTries) return undefined;
        const growing = Math.min(STORAGE_RETRY_MS * 2 ** (odd - 1), LONGEST_PAUSE_MS);
        await pause(clock, passing ? STORAGE_RETRY_MS : growing, stopping);
      }
    }
  }

  /** Where an attempt stands, for every call that ends it. */
  function standing({ claimed, attempt, ranMs }: RunningWork) {
    return { workId: claimed.workId, attempt, ranMs, at: clock.now() };
  }

  async function endAttempt(work: RunningWork, outcome: AttemptOutcome, error?: PublicError): Promise<void> {
    const call = { ...standing(work), outcome, ...(error === undefined ? {} : { error }) };
    await persist('the end of an attempt', work.context, () => journal.endAttempt(call));
  }

  async function finish(work: RunningWork, result: WorkResult): Promise<Written> {
    const call = { ...standing(work), result, steadyAt: steadyNow() };
    const ended = await persist('the end of a render', work.context, () => journal.finish(call));
    if (ended === undefined && !stopping.aborted) {
      if (result.kind === 'succeeded') return await fail(work, 'The images could not be entered into the journal.');
      if (result.kind === 'failed') await settleEach(work, result.error);
    }
    // Everybody left between the last look at the signal and the commit: the attempt ended all the same.
    if (ended?.settled.length === 0) {
      const outcome = result.kind === 'succeeded' ? stoppedOutcome(work.abort.signal.reason, work) : 'failed';
      await endAttempt(work, outcome);
    }
    if (ended === undefined) return 'unwritten';
    return ended.settled.length > 0 ? 'counts' : 'late';
  }

  /** Fails for a reason of ours. */
  function fail(work: RunningWork, message: string): Promise<Written> {
    return finish(work, { kind: 'failed', error: new AppError('internal', message).toPublic() });
  }

  /**
   * The end of the work cannot be written: then the end of each render is, which takes fewer steps. Others may still
   * come to wait for the work until the last one's is.
   */
  async function settleEach(work: RunningWork, error: PublicError): Promise<void> {
    work.freeSlot();
    while (work.waiters.length > 0 && !stopping.aborted) {
      await Promise.all(
        work.waiters.map(async (waiter) => {
          await settle('the failure of a render', waiter, error);
          work.leave(waiter.renderId);
        }),
      );
    }
    await endAttempt(work, 'failed', error);
  }

  /** Fails one render. It has no other end to look forward to, so that this is tried for as long as the server runs. */
  async function settle(what: string, { renderId, requestId }: Waiter, error: PublicError) {
    const call = { renderId, status: 'failed', error, at: clock.now() } as const;
    const write = () => journal.settle(call);
    return await persist(what, { request_id: requestId }, write, Number.POSITIVE_INFINITY);
  }

  /** Has another generator answer, or fails for all who wait. */
  async function giveUp(work: RunningWork, error: AppError): Promise<void> {
    const { claimed } = work;
    const tried = new Set([...Object.keys(claimed.failures), nameOf({ ...claimed, model: claimed.spec.model })]);
    const mayPass = work.waiters.some(({ fallback }) => fallback);
    for (const choice of mayPass ? fallbacks.candidates(error, claimed.spec, tried) : []) {
      const { generator } = choice;
      const passed = generator === NEAREST ? await answerWithNearest(work, error) : await passOn(work, error, choice);
      if (!passed) continue;
      log.warn({ ...work.context, code: error.code, fallback_to: generator }, 'a fallback answers');
      return;
    }
    await finish(work, { kind: 'failed', error: error.toPublic(), outcome: failedOutcome(error) });
  }

  async function passOn(work: RunningWork, error: AppError, choice: GeneratorChoice): Promise<boolean> {
    const to = fallbacks.fit(work.claimed, choice);
    if (to === undefined) return false;
    const call = {
      ...standing(work),
      ...{ to, error: error.toPublic(), outcome: failedOutcome(error), spent: work.spent, steadyAt: steadyNow() },
    };
    const done = await persist('handing work to a fallback', work.context, () => journal.fallBack(call));
    if (done?.passed !== true) return false;
    options.onPassed(choice.generator);
    return true;
  }

  /** A wall must never be blank: what was drawn for the nearest place and words. */
  async function answerWithNearest(work: RunningWork, error: AppError): Promise<boolean> {
    const { numImages } = work.claimed.spec;
    const there = await findNearest(work);
    if (there.length === 0) return false;
    const images = Array.from({ length: numImages }, (_, at) => there[at % there.length]).filter(
      (one) => one !== undefined,
    );
    const written = await finish(work, {
      kind: 'substituted',
      by: NEAREST,
      ...{ images, error: error.toPublic(), outcome: failedOutcome(error) },
    });
    return written === 'counts';
  }

  /** Images whose files are there. What is gone is noted, so that another look finds what is next. */
  async function findNearest({ claimed, context }: RunningWork): Promise<RenderImage[]> {
    const { era, biome, prompt, numImages } = claimed.spec;
    for (;;) {
      const found = await persist('the look for the nearest image', context, () =>
        journal.findNearest({ era, biome, prompt, limit: numImages * 4 }),
      );
      if (found === undefined) return [];
      const states = await Promise.all(found.map((image) => stateOf(image, context)));
      const there = found.filter((_, at) => states[at] === 'there');
      const gone = found.filter((_, at) => states[at] === 'gone').map(({ imageId }) => imageId);
      if (there.length > 0 || gone.length === 0) return there;
      const noted = await persist('the loss of images', context, async () => {
        await journal.lose({ imageIds: gone, at: steadyNow() });
        return true;
      });
      if (noted !== true) return [];
    }
  }

  async function stateOf({ imageId, format }: RenderImage, context: object): Promise<'there' | 'gone' | 'unknown'> {
    try {
      return (await store.has(imageId, format)) ? 'there' : 'gone';
    } catch (error) {
      log.warn({ ...context, err: error, image_id: imageId }, 'a stored image could not be looked for');
      return 'unknown';
    }
  }

  return {
    persist,
    endAttempt,
    giveUp,

    succeed: (work: RunningWork, made: Omit<Extract<WorkResult, { kind: 'succeeded' }>, 'kind'>) =>
      finish(work, { kind: 'succeeded', ...made }),

    /** A failed attempt that is not the last one. */
    failAttempt: (work: RunningWork, error: AppError) => endAttempt(work, failedOutcome(error), error.toPublic()),

    /** Begins the next attempt; false when nobody waits any more. */
    async begin(work: RunningWork): Promise<boolean> {
      const call = { workId: work.claimed.workId, attempt: work.attempt, at: clock.now() };
      const begun = await persist('the next attempt', work.context, async () => ({
        attempt: await journal.beginAttempt(call),
      }));
      if (begun === undefined && !stopping.aborted) await fail(work, 'The next attempt could not be begun.');
      if (begun?.attempt === undefined) return false;
      work.attempt = begun.attempt;
      work.attemptStartedAt = clock.elapsed();
      return true;
    },

    /** The work was stopped: it goes back to the queue when the server stops, else nobody waits for it. */
    async stopped(work: RunningWork): Promise<void> {
      const reason = asAppError(work.abort.signal.reason);
      if (reason.code !== 'draining') return endAttempt(work, stoppedOutcome(reason, work), reason.toPublic());
      const call = { ...standing(work), spent: work.spent };
      await persist('handing work back', work.context, () => journal.release(call));
    },

    /** A render's time is over. The first commit wins, be it this one or the finished work's. */
    async expire(work: RunningWork, waiter: Waiter): Promise<void> {
      const error =
        work.storageTrouble ??
        new AppError('render_timeout', `The render took longer than its ${waiter.timeoutMs / 1000} s.`);
      const outcome = await settle('the time-out of a render', waiter, error.toPublic());
      work.leave(waiter.renderId);
      if (outcome?.stoppedWork !== undefined) options.stop(outcome.stoppedWork, error);
    },
  };
}

/** What became of a work's end: it is the end of a render at least, all had left before, or it is not in the journal. */
export type Written = 'counts' | 'late' | 'unwritten';

/** The endings of `createEndings`. */
export type Endings = ReturnType<typeof createEndings>;

function failedOutcome({ code }: AppError): AttemptOutcome {
  return UNKNOWN.has(code) ? 'unknown' : 'failed';
}

/** How an attempt ended that was stopped for this reason. */
function stoppedOutcome(reason: unknown, { detached }: RunningWork): AttemptOutcome {
  if (detached) return 'detached';
  const { code } = asAppError(reason);
  if (code === 'render_timeout') return 'timeout';
  return ['storage_full', 'storage_failed'].includes(code) ? 'failed' : 'cancelled';
}
