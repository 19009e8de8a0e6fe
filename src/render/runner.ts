import { AppError, asAppError } from '../errors.ts';
import type { GeneratedImage, ImageGenerator, InputImage, Work } from '../generators/generator.ts';
import type { AttemptOutcome } from '../messages/outputs.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Images } from '../store/images.ts';
import type { Clock } from './clock.ts';
import type { Hub } from './hub.ts';
import type { ClaimedWork, Journal, RenderImage, Waiter, WorkSpec } from './journal.ts';
import type { Logger } from './logger.ts';
import type { Progress } from './present.ts';

/** How long to wait before storage that failed is tried again, in ms. */
const STORAGE_RETRY_MS = 1000;

/** How long a generator may take to stop once the grace is over, in ms. What then still runs is left to recovery. */
const STOP_MS = 2000;

/** A generator with what the runner must know about it. */
export interface Lane {
  readonly generator: ImageGenerator;
  /** Most works at a time. */
  readonly concurrency: number;
}

/** Options of `createRunner`. */
export interface RunnerOptions {
  readonly lanes: readonly Lane[];
  readonly journal: Journal;
  readonly store: ImageStore;
  readonly images: Pick<Images, 'encode'>;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Takes work from the journal, has it done, and says what became of it. */
export interface Runner {
  /** Takes what a generator may take now; call it when work came in or the generator became ready. */
  wake(generator: string): void;
  /** Stops work that nobody waits for, and frees its slot once it has stopped. */
  stop(workId: string, reason: AppError): void;
  progressOf(workId: string): Progress | undefined;
  /** How many works of a generator run, and how long one took lately (ms; undefined before the first). */
  statsOf(generator: string): { running: number; meanMs: number | undefined };
  /** Takes no more work; after `graceMs` hands back what still runs. Resolves when nothing runs. */
  drain(graceMs: number): Promise<void>;
}

interface Running {
  readonly claimed: ClaimedWork;
  readonly abort: AbortController;
  progress?: Progress;
}

interface LaneState extends Lane {
  active: number;
  /** Set when work may have come in while the journal was being asked. */
  woken: boolean;
  meanMs: number | undefined;
}

/** Creates the runner: per generator as many works at a time as it allows. */
export function createRunner({ lanes, journal, store, images, hub, clock, log }: RunnerOptions): Runner {
  const states = new Map<string, LaneState>(
    lanes.map((lane) => [lane.generator.name, { ...lane, active: 0, woken: false, meanMs: undefined }]),
  );
  const running = new Map<string, Running>();
  /** Why work was given up whose claim had been committed but not answered yet: there was nothing to stop then. */
  const stoppedEarly = new Map<string, AppError>();
  const finished = new Set<() => void>();
  let claiming = 0;
  let draining = false;

  async function take(lane: LaneState): Promise<void> {
    while (lane.active < lane.concurrency && !draining) {
      lane.active += 1;
      lane.woken = false;
      const job = await claim(lane);
      if (job === undefined) {
        free(lane);
        if (!lane.woken) return;
        continue;
      }
      void perform(lane, job).finally(() => {
        free(lane);
        void take(lane);
      });
    }
  }

  function free(lane: LaneState): void {
    lane.active -= 1;
    for (const check of finished) check();
  }

  async function claim({ generator }: LaneState): Promise<Running | undefined> {
    claiming += 1;
    try {
      const claimed = await journal.claim({ generator: generator.name, at: clock.now() });
      return claimed && register(claimed);
    } catch (error) {
      log.error({ err: error, generator: generator.name }, 'work could not be taken from the journal');
      clock.after(STORAGE_RETRY_MS, () => wake(generator.name));
      return undefined;
    } finally {
      claiming -= 1;
      if (claiming === 0) stoppedEarly.clear();
    }
  }

  function register(claimed: ClaimedWork): Running {
    const job: Running = { claimed, abort: new AbortController() };
    const reason = stoppedEarly.get(claimed.workId) ?? (draining ? stopping() : undefined);
    if (reason !== undefined) job.abort.abort(reason);
    running.set(claimed.workId, job);
    return job;
  }

  /** Does one work, from its claim to its end in the journal. Never rejects. */
  async function perform(lane: LaneState, job: Running): Promise<void> {
    const { claimed } = job;
    const timers = claimed.waiters.map((waiter) => clock.after(waiter.timeoutMs, () => void expire(waiter)));
    try {
      const rendered = await render(lane, job);
      await end(job, { kind: 'succeeded', ...rendered });
      await pointLatestAt(rendered.images.at(-1), claimed);
    } catch (error) {
      await fail(job, error);
    } finally {
      for (const cancel of timers) cancel();
      running.delete(claimed.workId);
    }
  }

  async function render(lane: LaneState, job: Running) {
    const { claimed, abort } = job;
    const work = await loadWork(claimed.workId, claimed.spec);
    abort.signal.throwIfAborted();
    const started = clock.elapsed();
    const generated = await lane.generator.generate(work, {
      signal: abort.signal,
      onProgress: (progress) => report(job, progress),
      wantsPreview: () => false,
      onPreview: () => undefined,
      onRemoteId: (remoteId) => journal.noteRemoteId({ workId: claimed.workId, attempt: claimed.attempt, remoteId }),
    });
    abort.signal.throwIfAborted();
    if (generated.length !== work.numImages) {
      throw new AppError('generator_failed', `The generator made ${generated.length} of ${work.numImages} images.`);
    }
    const drawn = clock.elapsed();
    const stored: RenderImage[] = [];
    for (const image of generated) stored.push(await keep(image, claimed.spec));
    abort.signal.throwIfAborted();
    const renderMs = drawn - started;
    lane.meanMs = lane.meanMs === undefined ? renderMs : 0.8 * lane.meanMs + 0.2 * renderMs;
    return { images: stored, renderMs: tenths(renderMs), storeMs: tenths(clock.elapsed() - drawn) };
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

  async function keep(image: GeneratedImage, { outputFormat: format, quality }: WorkSpec): Promise<RenderImage> {
    const { bytes, width, height } = await images.encode(image, { format, quality });
    const saved = await store.save(bytes, format);
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
    job.progress = progress;
    const { claimed } = job;
    for (const { renderId, requestId } of claimed.waiters) {
      hub.progress({
        type: 'RenderProgress',
        time: new Date(clock.now()).toISOString(),
        render_id: renderId,
        request_id: requestId,
        generator: claimed.generator,
        ...progress,
        fraction: progress.step / progress.steps,
      });
    }
  }

  /** A render's time is over. The first commit wins, be it this one or the finished work's. */
  async function expire({ renderId, requestId, timeoutMs }: Waiter): Promise<void> {
    const error = new AppError('render_timeout', `The render took longer than its ${timeoutMs / 1000} s.`);
    const call = { renderId, status: 'failed', error: error.toPublic(), at: clock.now() } as const;
    const outcome = await persist('the time-out of a render', { request_id: requestId }, () => journal.settle(call));
    if (outcome?.stoppedWork !== undefined) stop(outcome.stoppedWork, error);
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
    const call = { workId, attempt, outcome: outcomeOf(reason), error: reason.toPublic(), at: clock.now() } as const;
    await persist('the end of an attempt', context, () => journal.endAttempt(call));
  }

  async function end({ claimed, abort }: Running, result: Parameters<Journal['finish']>[0]['result']): Promise<void> {
    const { workId, attempt } = claimed;
    const call = { workId, attempt, result, at: clock.now() };
    const ended = await persist('the end of a render', contextOf(claimed), () => journal.finish(call));
    // Everybody left between the last look at the signal and the commit: the attempt ended all the same.
    if (ended?.settled.length === 0) {
      const outcome = result.kind === 'succeeded' ? outcomeOf(abort.signal.reason) : 'failed';
      await persist('the end of an attempt', contextOf(claimed), () =>
        journal.endAttempt({ workId, attempt, outcome, at: clock.now() }),
      );
    }
  }

  /** Tries until it is written: an end that is not in the journal would be lost. Gives up when the server stops. */
  async function persist<T>(what: string, context: object, write: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        log.error({ ...context, err: error }, `${what} could not be written`);
        if (draining) return undefined;
        await new Promise<void>((resolve) => clock.after(STORAGE_RETRY_MS, resolve));
      }
    }
  }

  function wake(generator: string): void {
    const lane = states.get(generator);
    if (lane === undefined || !['ready', 'degraded'].includes(lane.generator.health().state)) return;
    lane.woken = true;
    void take(lane);
  }

  function stop(workId: string, reason: AppError): void {
    const job = running.get(workId);
    if (job !== undefined) job.abort.abort(reason);
    else if (claiming > 0) stoppedEarly.set(workId, reason);
  }

  return {
    wake,
    stop,
    progressOf: (workId) => running.get(workId)?.progress,
    statsOf(generator) {
      const lane = states.get(generator);
      const count = [...running.values()].filter(({ claimed }) => claimed.generator === generator).length;
      return { running: count, meanMs: lane?.meanMs };
    },
    async drain(graceMs) {
      draining = true;
      const idle = Promise.withResolvers<void>();
      const check = () => {
        if ([...states.values()].every(({ active }) => active === 0)) idle.resolve();
      };
      finished.add(check);
      const handBack = () => {
        for (const workId of running.keys()) stop(workId, stopping());
      };
      const timers = [clock.after(graceMs, handBack), clock.after(graceMs + STOP_MS, idle.resolve)];
      check();
      await idle.promise;
      for (const cancel of timers) cancel();
    },
  };
}

function stopping(): AppError {
  return new AppError('draining', 'The server is stopping; the render goes back to the queue.');
}

/** How an attempt ended that was stopped for this reason. */
function outcomeOf(reason: unknown): AttemptOutcome {
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
