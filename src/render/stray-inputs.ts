import type { ImageStore } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import { pause } from './pause.ts';

/** When to look for the first time, in ms after the start: there is more urgent work then. */
const FIRST_MS = 600_000;
/** How long after a look to begin the next one, in ms. */
const EVERY_MS = 86_400_000;
/** Pause between two parts of the folder, in ms: nobody waits for this. */
const BETWEEN_MS = 1000;
/** How long a file must have lain there, in ms: whoever brought it may still be about to say what for. */
const GRACE_MS = 86_400_000;

/** Options of `createStrayInputs`. */
export interface StrayInputsOptions {
  readonly journal: Pick<Journal, 'doom'>;
  readonly store: Pick<ImageStore, 'inputParts' | 'listInputs'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Finds input images of which the journal does not know: a process that dies between keeping one and accepting its
 * request leaves it behind. They are given up, unless somebody holds them or enters them by then. Finished images are
 * another matter: notes speak of them, and whoever has lost his journal keeps his pictures.
 */
export function createStrayInputs({ journal, store, clock, log }: StrayInputsOptions) {
  async function look(part: string): Promise<void> {
    try {
      const ids = await store.listInputs(part, clock.now() - GRACE_MS);
      const files = ids.map((imageId) => ({ kind: 'input', imageId }) as const);
      if (files.length > 0) await journal.doom({ files });
    } catch (error) {
      log.warn({ err: error }, 'input images that nobody wants could not be looked for');
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    await pause(clock, FIRST_MS, signal);
    while (!signal.aborted) {
      for (const part of store.inputParts) {
        if (signal.aborted) return;
        await look(part);
        await pause(clock, BETWEEN_MS, signal);
      }
      await pause(clock, EVERY_MS, signal);
    }
  }

  return {
    /** Looks now and then, from now on; returns how to stop. */
    start(): () => Promise<void> {
      const stopped = new AbortController();
      const running = run(stopped.signal);
      return async () => {
        stopped.abort();
        await running;
      };
    },
  };
}
