import { z } from 'zod';
import { imageFormat, imageId } from '../messages/outputs.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import type { EvictedFile, RenderImage } from './records.ts';

const madeSchema = z.object({
  images: z
    .array(
      z.object({
        imageId,
        format: imageFormat,
        width: z.int(),
        height: z.int(),
        bytes: z.int(),
        seed: z.int(),
      }),
    )
    .min(1),
  renderMs: z.number(),
  storeMs: z.number(),
});

/** What a work has made. */
export interface Made {
  readonly images: readonly RenderImage[];
  readonly renderMs: number;
  readonly storeMs: number;
}

/** An image as a file of the store. */
export function fileOf({ imageId, format }: RenderImage): EvictedFile {
  return { kind: 'image', imageId, format };
}

/** Notes beside the images of what works have made, for the moment until the journal has it. */
export interface WorkNotes {
  /** Before the first image is stored, so that a start knows of every file. */
  keep(workId: string, made: Made): Promise<void>;
  /** Without an id, all. */
  forget(workId?: string): Promise<void>;
  /**
   * At start: ends the works in the journal that had made everything when the process died, so that nothing is drawn
   * or paid again. What else was stored of others is given up. Resolves with the number of ended ones.
   */
  adopt(): Promise<number>;
}

/** Options of `createWorkNotes`. */
export interface WorkNotesOptions {
  readonly journal: Pick<Journal, 'interrupted' | 'finish' | 'doom'>;
  readonly store: Pick<ImageStore, 'has' | 'writeNote' | 'listNotes' | 'readNote' | 'removeNotes'>;
  readonly clock: Pick<Clock, 'now'>;
  /** See `Journal`. */
  readonly steadyNow: () => number;
  readonly log: Logger;
}

/** Creates the notes. They need not survive a power cut: then the work is done again. */
export function createWorkNotes({ journal, store, clock, steadyNow, log }: WorkNotesOptions): WorkNotes {
  /** Undefined also when it cannot be found out: then the work is done again. */
  async function madeBy(workId: string): Promise<Made | undefined> {
    try {
      const note = madeSchema.safeParse(await store.readNote(workId));
      return note.data;
    } catch (error) {
      log.warn({ err: error, work_id: workId }, 'a note of what was made could not be read');
      return undefined;
    }
  }

  async function isStored({ images }: Made, workId: string): Promise<boolean> {
    try {
      for (const { imageId: id, format } of images) if (!(await store.has(id, format))) return false;
      return true;
    } catch (error) {
      log.warn({ err: error, work_id: workId }, 'what was made could not be looked for');
      return false;
    }
  }

  async function listed(): Promise<string[]> {
    try {
      return await store.listNotes();
    } catch (error) {
      // What was made is made again: a server that does not start would be worse.
      log.warn({ err: error }, 'the notes of what was made could not be listed');
      return [];
    }
  }

  async function forget(workId?: string): Promise<void> {
    try {
      await store.removeNotes(workId);
    } catch (error) {
      log.warn({ err: error, work_id: workId }, 'a note of what was made could not be removed');
    }
  }

  return {
    forget,

    async keep(workId, made) {
      try {
        await store.writeNote(workId, made);
      } catch (error) {
        // The render stands without it.
        log.warn({ err: error, work_id: workId }, 'a note of what is made could not be written');
      }
    },

    async adopt() {
      let adopted = 0;
      // Thousands may have been running, but hardly any had made everything.
      const noted = new Set(await listed());
      for (const { workId, attempt } of await journal.interrupted({})) {
        const made = noted.has(workId) ? await madeBy(workId) : undefined;
        if (made === undefined || !(await isStored(made, workId))) continue;
        noted.delete(workId);
        const { renderMs: ranMs } = made;
        const result = { kind: 'succeeded', ...made } as const;
        await journal.finish({ workId, attempt, result, ranMs, at: clock.now(), steadyAt: steadyNow() });
        adopted += 1;
      }
      for (const workId of noted) {
        const left = await madeBy(workId);
        if (left !== undefined) await journal.doom({ files: left.images.map(fileOf) });
      }
      await forget();
      return adopted;
    },
  };
}
