import { asAppError } from '../errors.ts';
import type { Hold, ImageStore } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import type { Endings } from './endings.ts';
import { STORAGE_RETRY_MS } from './endings.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import { pause } from './pause.ts';
import type { RenderImage } from './records.ts';
import type { RunningWork } from './running.ts';
import type { StorageGate } from './storage-gate.ts';
import type { Made, WorkNotes } from './work-notes.ts';
import { fileOf } from './work-notes.ts';

/** An image as it is to be stored. */
export interface FinishedImage extends Pick<RenderImage, 'imageId' | 'format' | 'width' | 'height' | 'seed'> {
  readonly bytes: Uint8Array;
}

/** What a generator has made, and when by the clock's `elapsed` it had. */
export interface Drawn {
  readonly finished: readonly FinishedImage[];
  readonly drawnAt: number;
}

/** Hears that all images are stored, and how long they were drawn, in ms. */
export type OnStored = (drawnMs: number) => void;

/** Options of `createKeeping`. */
export interface KeepingOptions {
  readonly journal: Pick<Journal, 'doom'>;
  readonly store: Pick<ImageStore, 'save'>;
  readonly storage: Pick<StorageGate, 'hold'>;
  readonly notes: Pick<WorkNotes, 'keep' | 'forget'>;
  readonly endings: Pick<Endings, 'persist'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Creates what stores the images of a work: all, or none that anybody will hear of. */
export function createKeeping({ journal, store, storage, notes, endings, clock, log }: KeepingOptions) {
  /** What is drawn, and may be paid, waits for storage that is in trouble as long as somebody waits for it. */
  async function keep(
    { bytes, format }: FinishedImage,
    work: RunningWork,
    hold: Hold,
    noted: Promise<void>,
  ): Promise<void> {
    let leave: (() => void) | undefined;
    try {
      for (;;) {
        try {
          await store.save(bytes, format, hold, noted);
          work.storageTrouble = undefined;
          return;
        } catch (error) {
          const trouble = asAppError(error);
          work.storageTrouble = trouble;
          leave ??= storage.hold(trouble);
          log.error({ ...work.context, err: error }, 'an image could not be stored; trying again');
          await pause(clock, STORAGE_RETRY_MS, work.abort.signal);
          if (work.abort.signal.aborted) throw error;
        }
      }
    } finally {
      leave?.();
    }
  }

  /** Some of the images may be stored, and nothing will come of them. Else the next start sees to it, by the note. */
  async function drop({ claimed: { workId }, context }: RunningWork, { images: dropped }: Made): Promise<void> {
    const written = await endings.persist('the loss of images', context, async () => {
      await journal.doom({ files: dropped.map(fileOf) });
      return true;
    });
    if (written === true) await notes.forget(workId);
  }

  return async function keepAll({ finished, drawnAt }: Drawn, work: RunningWork, hold: Hold, onStored: OnStored) {
    const renderMs = drawnAt - work.drawingStartedAt;
    const made = (): Made => ({
      images: finished.map(({ bytes, ...image }): RenderImage => ({ ...image, bytes: bytes.length })),
      ...{ renderMs: tenths(renderMs), storeMs: tenths(clock.elapsed() - drawnAt) },
    });
    // No file may be there before its note is; but it can be written meanwhile.
    const noted = notes.keep(work.claimed.workId, made());
    try {
      // All or none, whoever leaves meanwhile.
      for (const image of finished) await keep(image, work, hold, noted);
      // Where all were there before, nothing has waited for it; and it must be whole before it is removed.
      await noted;
    } catch (error) {
      await noted;
      await drop(work, made());
      throw error;
    }
    onStored(renderMs);
    return made();
  };
}

/** Ms, to a tenth: what a reader can use. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
