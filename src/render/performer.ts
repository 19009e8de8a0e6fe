import { hash } from 'node:crypto';
import { AppError, asAppError } from '../errors.ts';
import type { ImageGenerator, Work } from '../generators/generator.ts';
import type { Hold, ImageStore } from '../store/image-store.ts';
import type { Images } from '../store/images.ts';
import type { Admission, Breaker } from './breaker.ts';
import type { Clock } from './clock.ts';
import type { Endings } from './endings.ts';
import { createHooks } from './hooks.ts';
import type { Hub } from './hub.ts';
import type { Journal } from './journal.ts';
import type { Drawn, FinishedImage, OnStored } from './keeping.ts';
import { createKeeping } from './keeping.ts';
import type { Logger } from './logger.ts';
import type { Pace } from './pace.ts';
import { pause } from './pause.ts';
import type { Purse } from './purse.ts';
import type { RenderImage } from './records.ts';
import { retryDelay } from './retries.ts';
import type { RunningWork } from './running.ts';
import { hasJob } from './running.ts';
import type { StorageGate } from './storage-gate.ts';
import { createWorkLoader } from './work-loader.ts';
import type { WorkNotes } from './work-notes.ts';

/** Options of `createPerformer`. */
export interface PerformerOptions {
  readonly journal: Journal;
  readonly store: ImageStore;
  readonly storage: StorageGate;
  readonly images: Pick<Images, 'encode'>;
  readonly notes: WorkNotes;
  readonly endings: Endings;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Logger;
  /** Most retries of a work by a generator. */
  readonly retries: number;
  /** From 0 to 1; default `Math.random`. */
  readonly random?: () => number;
  /** Hears that a work waits for its next attempt: nothing of it runs meanwhile. */
  onPause(work: RunningWork): void;
}

/** A generator with what keeps work away from it. */
export interface Performing {
  readonly generator: ImageGenerator;
  readonly breaker: Breaker;
  readonly pace: Pace;
  readonly purse: Purse;
  /** How long a render may take here unless it says otherwise, in ms. */
  readonly timeoutMs: number;
}

/**
 * Does one work, from its claim to its end in the journal. Never rejects. `onStored` hears, at most once, that all images
 * are stored and how long they were drawn, in ms: what is left then neither fails nor needs the generator.
 */
export type Perform = (by: Performing, work: RunningWork, onStored: OnStored) => Promise<void>;

/** Creates the recipe of every work: load, draw, encode, store, and write the end; again, or by others, when it fails. */
export function createPerformer(options: PerformerOptions): Perform {
  const { store, images, notes, endings, clock, log, retries, random = Math.random } = options;
  const loadWork = createWorkLoader(store);
  const hooksOf = createHooks(options);
  const keepAll = createKeeping(options);

  async function perform(by: Performing, work: RunningWork, onStored: OnStored): Promise<void> {
    const hold = store.hold();
    try {
      while (await attempt(by, work, hold, onStored)) {
        // Once more.
      }
    } finally {
      hold.release();
      work.end();
    }
  }

  /** One try; says whether there is to be another. */
  async function attempt(by: Performing, work: RunningWork, hold: Hold, onStored: OnStored): Promise<boolean> {
    try {
      const made = await render(by, work, hold, onStored);
      const written = await endings.succeed(work, made);
      if (written === 'counts') await pointLatestAt(made.images.at(-1), work);
      // The next start needs the note of what the journal does not have.
      if (written !== 'unwritten') await notes.forget(work.claimed.workId);
      return false;
    } catch (error) {
      if (!work.abort.signal.aborted) return await retry(by, work, asAppError(error));
      await endings.stopped(work);
      return false;
    }
  }

  /** Pauses and begins another attempt; else gives up. */
  async function retry({ pace }: Performing, work: RunningWork, error: AppError): Promise<boolean> {
    const { signal } = work.abort;
    work.failures += 1;
    log.error({ ...work.context, code: error.code, err: error }, 'the attempt failed');
    const { failures, leftMs } = work;
    const delayMs = retryDelay(error, { failures, retries, leftMs, random });
    const pauseMs = Math.max(delayMs ?? 0, pace.waitMs());
    if (delayMs === undefined || pauseMs >= leftMs) {
      await endings.giveUp(work, error);
      return false;
    }
    await endings.failAttempt(work, error);
    work.forgetAttempt();
    work.isPausing = true;
    options.onPause(work);
    await pause(clock, pauseMs, signal);
    work.isPausing = false;
    if (!signal.aborted) {
      pace.take();
      return await endings.begin(work);
    }
    await endings.stopped(work);
    return false;
  }

  async function render(by: Performing, work: RunningWork, hold: Hold, onStored: OnStored) {
    const { claimed, abort } = work;
    const input = await loadWork(claimed.workId, claimed.spec);
    abort.signal.throwIfAborted();
    const drawn = await draw(by, work, input);
    return await keepAll(drawn, work, hold, onStored);
  }

  /** Has the generator draw, and judges it by whether that can be used. */
  async function draw(by: Performing, work: RunningWork, input: Work): Promise<Drawn> {
    // What was submitted before is paid before.
    const release = hasJob(by.generator, work) ? () => undefined : await by.purse.admit();
    try {
      work.abort.signal.throwIfAborted();
      const admission = by.breaker.admit();
      try {
        const drawn = await finish(by, work, input);
        admission.succeed();
        return drawn;
      } catch (error) {
        judge(admission, by, work, asAppError(error));
        throw error;
      }
    } finally {
      release();
    }
  }

  /** The generator's images as they are to be stored: one that cannot be encoded is no image. */
  async function finish(by: Performing, work: RunningWork, input: Work): Promise<Drawn> {
    work.drawingStartedAt = clock.elapsed();
    const generated = await by.generator.generate(input, hooksOf(work));
    const drawnAt = clock.elapsed();
    if (generated.length !== input.numImages) {
      throw new AppError('generator_failed', `The generator made ${generated.length} of ${input.numImages} images.`);
    }
    throwIfNobodyWaits(work.abort.signal);
    const { outputFormat: format, quality } = work.claimed.spec;
    const finished: FinishedImage[] = [];
    for (const image of generated) {
      const encoded = await images.encode(image, { format, quality });
      finished.push({ ...encoded, imageId: hash('sha256', encoded.bytes), format, seed: image.seed });
    }
    return { finished, drawnAt };
  }

  /** A stop tells nothing about the generator, unless it let its own time pass. */
  function judge(admission: Admission, { pace, timeoutMs }: Performing, work: RunningWork, error: AppError): void {
    if (error.code === 'upstream_rate_limited') pace.hold(error.retryAfterMs ?? 0);
    const { aborted, reason } = work.abort.signal;
    const timedOut = asAppError(reason).code === 'render_timeout' && work.ranMs >= timeoutMs;
    if (!aborted && isOfEarlierProcess(work, error)) admission.abandon();
    else if (!aborted) admission.fail(error);
    else if (timedOut) admission.fail(asAppError(reason));
    else admission.abandon();
  }

  /** A convenience for people who look into the folder; the render stands without it. */
  async function pointLatestAt(image: RenderImage | undefined, work: RunningWork): Promise<void> {
    if (image === undefined) return;
    try {
      await store.setLatest(image.imageId, image.format);
    } catch (error) {
      log.warn({ ...work.context, err: error }, 'the link to the latest image could not be moved');
    }
  }

  return perform;
}

/** Whether the outcome is unknown of what an earlier process had asked: that tells nothing about the generator now. */
function isOfEarlierProcess({ claimed, attempt }: RunningWork, { code }: AppError): boolean {
  return code === 'outcome_unknown' && claimed.remoteId !== undefined && attempt === claimed.attempt;
}

/** What is drawn already is kept although the server stops: it need not be drawn, or paid, again. */
function throwIfNobodyWaits(signal: AbortSignal): void {
  if (signal.aborted && asAppError(signal.reason).code !== 'draining') throw signal.reason;
}
