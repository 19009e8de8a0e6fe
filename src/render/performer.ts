import { AppError, asAppError } from '../errors.ts';
import type { GeneratedImage, ImageGenerator, InputImage, Work } from '../generators/generator.ts';
import type { AttemptOutcome } from '../messages/outputs.ts';
import type { Hold, ImageStore } from '../store/image-store.ts';
import type { Images } from '../store/images.ts';
import type { Clock } from './clock.ts';
import type { Hub } from './hub.ts';
import type { ClaimedWork, Journal, RenderImage, Waiter, WorkResult, WorkSpec } from './journal.ts';
import type { Logger } from './logger.ts';
import type { Progress } from './present.ts';

/** How long to wait before storage that failed is tried again, in ms. */
export const STORAGE_RETRY_MS = 1000;

/** Claimed work under way. */
export interface Running {
  readonly claimed: ClaimedWork;
  readonly abort: AbortController;
  /** By the clock's `elapsed`: when the generator began. */
  startedAt: number;
  progress?: Progress;
  /** Whether the provider may go on although the attempt has ended. */
  detached?: boolean;
}

/** Options of `createPerformer`. */
export interface PerformerOptions {
  readonly journal: Journal;
  readonly store: ImageStore;
  readonly images: Pick<Images, 'encode'>;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether the server stops: then nothing is tried again. */
  stopping(): boolean;
  /** Stops work that nobody waits for any more. */
  stop(workId: string, reason: AppError): void;
  /** Hears how long a generator drew all images of a work, in ms. */
  onDrawn(generator: string, ms: number): void;
}

/** Does one work, from its claim to its end in the journal. Never rejects. */
export type Perform = (generator: ImageGenerator, job: Running) => Promise<void>;

/** Creates the recipe of every work: load, draw, encode, store, and write the end. */
export function createPerformer(options: PerformerOptions): Perform {
  const { journal, store, images, hub, clock, log } = options;

  async function perform(generator: ImageGenerator, job: Running): Promise<void> {
    const { claimed } = job;
    const timers = claimed.waiters.map((waiter) =>
      clock.after(Math.max(0, waiter.timeoutMs - waiter.spentMs), () => void expire(waiter)),
    );
    const hold = store.hold();
    try {
      const rendered = await render(generator, job, hold);
      const counted = await end(job, { kind: 'succeeded', ...rendered });
      if (counted) await pointLatestAt(rendered.images.at(-1), claimed);
    } catch (error) {
      await fail(job, error);
    } finally {
      for (const cancel of timers) cancel();
      hold.release();
    }
  }

  async function render(generator: ImageGenerator, job: Running, hold: Hold) {
    const { claimed, abort } = job;
    const work = await loadWork(claimed.workId, claimed.spec);
    abort.signal.throwIfAborted();
    const started = clock.elapsed();
    job.startedAt = started;
    const generated = await generator.generate(work, {
      signal: abort.signal,
      onProgress: (progress) => report(job, progress),
      wantsPreview: () => false,
      onPreview: () => undefined,
      remoteId: claimed.remoteId,
      onDetached: () => {
        job.detached = true;
      },
      onCost: (usd) => void noteCost(claimed, usd),
      onRemoteId: (remoteId) => journal.noteRemoteId({ workId: claimed.workId, attempt: claimed.attempt, remoteId }),
    });
    throwIfNobodyWaits(abort.signal);
    if (generated.length !== work.numImages) {
      throw new AppError('generator_failed', `The generator made ${generated.length} of ${work.numImages} images.`);
    }
    const drawn = clock.elapsed();
    const stored: RenderImage[] = [];
    for (const image of generated) {
      stored.push(await keep(image, claimed.spec, hold));
      throwIfNobodyWaits(abort.signal);
    }
    options.onDrawn(claimed.generator, drawn - started);
    return { images: stored, renderMs: tenths(drawn - started), storeMs: tenths(clock.elapsed() - drawn) };
  }

  async function noteCost(claimed: ClaimedWork, costUsd: number): Promise<void> {
    const { workId, attempt } = claimed;
    const call = { workId, attempt, costUsd, at: clock.now() };
    await persist('the cost of an attempt', contextOf(claimed), () => journal.noteCost(call));
  }

  async function loadWork(workId: string, spec: WorkSpec): Promise<Work> {
    const load = async (imageId: string | undefined): Promise<InputImage | undefined> =>
      imageId === undefined ? undefined : { imageId, bytes: await store.readInput(imageId) };
    const { outputFormat: _, quality: _q, referenceImage, depthMap, mask, ...same } = spec;
    return {
      ...same,
      workId,
      referenceImage: await load(referenceImage),
      depthMap: await load(depthMap),
      mask: await load(mask),
    };
  }

  async function keep(image: GeneratedImage, spec: WorkSpec, hold: Hold): Promise<RenderImage> {
    const { outputFormat: format, quality } = spec;
    const { bytes, width, height } = await images.encode(image, { format, quality });
    const saved = await store.save(bytes, format, hold);
    return { imageId: saved.imageId, format, width, height, bytes: saved.bytes, seed: image.seed };
  }

  /** A convenience for people who look into the folder; the render stands without it. */
  async function pointLatestAt(image: RenderImage | undefined, claimed: ClaimedWork): Promise<void> {
    if (image === undefined) return;
    try {
      await store.setLatest(image.imageId, image.format);
    } catch (error) {
      log.warn({ ...contextOf(claimed), err: error }, 'the link to the latest image could not be moved');
    }
  }

  function report(job: Running, progress: Progress): void {
    if (job.abort.signal.aborted) return;
    job.progress = progress;
    const { claimed } = job;
    const elapsedMs = clock.elapsed() - job.startedAt;
    const eta_ms = Math.round((elapsedMs / progress.step) * (progress.steps - progress.step));
    for (const { renderId, requestId } of claimed.waiters) {
      hub.progress({
        type: 'RenderProgress',
        time: new Date(clock.now()).toISOString(),
        render_id: renderId,
        request_id: requestId,
        generator: claimed.generator,
        ...progress,
        fraction: progress.step / progress.steps,
        eta_ms,
      });
    }
  }

  /** A render's time is over. The first commit wins, be it this one or the finished work's. */
  async function expire({ renderId, requestId, timeoutMs }: Waiter): Promise<void> {
    const error = new AppError('render_timeout', `The render took longer than its ${timeoutMs / 1000} s.`);
    const call = { renderId, status: 'failed', error: error.toPublic(), at: clock.now() } as const;
    const outcome = await persist('the time-out of a render', { request_id: requestId }, () => journal.settle(call));
    if (outcome?.stoppedWork !== undefined) options.stop(outcome.stoppedWork, error);
  }

  /** Says in the journal why there is no image. */
  async function fail(job: Running, error: unknown): Promise<void> {
    const { claimed, abort } = job;
    const { workId, attempt } = claimed;
    const context = contextOf(claimed);
    if (!abort.signal.aborted) {
      const failure = asAppError(error);
      log.error({ ...context, code: failure.code, err: failure }, 'the render failed');
      await end(job, { kind: 'failed', error: failure.toPublic() });
      return;
    }
    const reason = asAppError(abort.signal.reason);
    if (reason.code === 'draining') {
      await persist('handing work back', context, () => journal.release({ workId, attempt, at: clock.now() }));
      return;
    }
    const call = {
      workId,
      attempt,
      outcome: outcomeOf(reason, job),
      error: reason.toPublic(),
      at: clock.now(),
    } as const;
    await persist('the end of an attempt', context, () => journal.endAttempt(call));
  }

  /** Writes the end of a work; says whether it counted, or all had left before. */
  async function end(job: Running, result: WorkResult): Promise<boolean> {
    const { claimed, abort } = job;
    const { workId, attempt } = claimed;
    const context = contextOf(claimed);
    const ended = await persist('the end of a render', context, () =>
      journal.finish({ workId, attempt, result, at: clock.now() }),
    );
    if (ended === undefined && result.kind === 'succeeded' && !options.stopping()) {
      const error = new AppError('internal', 'The images could not be entered into the journal.');
      return end(job, { kind: 'failed', error: error.toPublic() });
    }
    // Everybody left between the last look at the signal and the commit: the attempt ended all the same.
    if (ended?.settled.length === 0) {
      const outcome = result.kind === 'succeeded' ? outcomeOf(abort.signal.reason, job) : 'failed';
      const call = { workId, attempt, outcome, at: clock.now() };
      await persist('the end of an attempt', context, () => journal.endAttempt(call));
    }
    return ended !== undefined && ended.settled.length > 0;
  }

  /**
   * Tries until it is written, since an end that is not in the journal would be lost. What is no trouble with the
   * storage would fail for ever: that is left to the next start, as everything is when the server stops.
   */
  async function persist<T>(what: string, context: object, write: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        log.error({ ...context, err: error }, `${what} could not be written`);
        const passing = ['storage_full', 'storage_failed'].includes(asAppError(error).code);
        if (options.stopping() || !passing) return undefined;
        await new Promise<void>((resolve) => clock.after(STORAGE_RETRY_MS, resolve));
      }
    }
  }

  return perform;
}

/** What is drawn already is kept although the server stops: it need not be drawn, or paid, again. */
function throwIfNobodyWaits(signal: AbortSignal): void {
  if (signal.aborted && asAppError(signal.reason).code !== 'draining') throw signal.reason;
}

/** How an attempt ended that was stopped for this reason. */
function outcomeOf(reason: unknown, { detached }: Running): AttemptOutcome {
  if (detached) return 'detached';
  return asAppError(reason).code === 'render_timeout' ? 'timeout' : 'cancelled';
}

/** Ms, to a tenth: what a reader can use. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function contextOf({ workId, attempt, generator, waiters }: ClaimedWork) {
  const [first] = waiters;
  return { work_id: workId, attempt, generator, render_id: first?.renderId, request_id: first?.requestId };
}
