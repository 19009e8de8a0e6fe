import type { ImageStore } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import type { EvictedFile, EvictionLimits } from './records.ts';

/** How often the store is looked at, in ms. */
const ROUND_MS = 120_000;
/** How often is noted how far the journal is, in ms: so exactly is known how old is what is over. */
const NOTE_MS = 3_600_000;
/** How full the store is after an eviction, as a part of what it may hold. */
const TARGET = 0.8;

/** Options of `createRetention`. */
export interface RetentionOptions {
  readonly journal: Pick<
    Journal,
    'evict' | 'storeUsage' | 'doomed' | 'isDoomed' | 'removed' | 'noteTime' | 'forget' | 'indexPrompts'
  >;
  readonly store: Pick<ImageStore, 'remove'>;
  readonly maxBytes: number;
  /** How long an image is safe after its last use. */
  readonly pinMs: number;
  /** How long an image may stay unused; without it, for ever. */
  readonly maxAgeMs: number | undefined;
  /** How long finished renders are remembered. */
  readonly keepMs: number;
  readonly clock: Clock;
  /** See `Journal`. */
  readonly steadyNow: () => number;
  /** The newest time that the journal knew of when the process began, by the steady clock. */
  readonly lastUse: number;
  readonly log: Logger;
  onEvicted(file: EvictedFile): void;
}

/** Keeps the image store within its size and age. */
export interface Retention {
  /** One look at the store; resolves when what had to go is gone. */
  round(): Promise<void>;
  /** Looks now and then, from now on; returns how to stop. */
  start(): () => Promise<void>;
}

/** Creates the retention: least recently used goes first, and the journal knows before the file goes. */
export function createRetention(options: RetentionOptions): Retention {
  const { journal, store, maxBytes, pinMs, maxAgeMs, keepMs, clock, steadyNow, log, onEvicted } = options;
  const targetBytes = Math.floor(maxBytes * TARGET);
  const startedAt = steadyNow();
  let notedAt = Number.NEGATIVE_INFINITY;

  async function round(): Promise<void> {
    await removeDoomed();
    await evict();
    await forget();
    while ((await journal.indexPrompts({})).left);
  }

  /** Files that were given up when the process died. */
  async function removeDoomed(): Promise<void> {
    for (let files = await journal.doomed({}); files.length > 0; files = await journal.doomed({})) {
      if ((await remove(files)) < files.length) return;
    }
  }

  async function forget(): Promise<void> {
    const at = steadyNow();
    if (at - notedAt >= NOTE_MS) {
      await journal.noteTime({ at });
      notedAt = at;
    }
    let renders = 0;
    let after: number | undefined = 0;
    while (after !== undefined) {
      const forgotten = await journal.forget({ endedBefore: at - keepMs, at, after });
      renders += forgotten.renders;
      after = forgotten.next;
    }
    if (renders > 0) log.info({ renders }, 'old renders were forgotten');
  }

  /**
   * Since when what was used is safe. While nothing ran nobody could look at it, and how long that was is told by a clock
   * that may be wrong: so it does not count.
   */
  function pinnedSince(at: number): number {
    const upMs = at - startedAt;
    return upMs < pinMs ? Math.min(startedAt, options.lastUse) - (pinMs - upMs) : at - pinMs;
  }

  async function evict(): Promise<void> {
    const at = steadyNow();
    const { bytes } = await journal.storeUsage({});
    const limits: EvictionLimits = {
      // Once it is too full it goes on down to the target, however many calls that takes.
      maxBytes: bytes > maxBytes ? targetBytes : maxBytes,
      targetBytes,
      keepSince: pinnedSince(at),
      dropBefore: maxAgeMs === undefined ? undefined : at - maxAgeMs,
    };
    let files = 0;
    for (;;) {
      const evicted = await journal.evict({ limits, at });
      if (evicted.length === 0) break;
      await remove(evicted);
      files += evicted.length;
    }
    if (files > 0) log.info({ files }, 'files of the image store were given up');
  }

  /**
   * Removes files that the journal has given up; returns how many. What somebody has saved anew meanwhile stays: either
   * it is held, or the journal knows it again. If nothing comes of it, it goes in another round.
   */
  async function remove(files: readonly EvictedFile[]): Promise<number> {
    const done: EvictedFile[] = [];
    for (const file of files) {
      try {
        if (!(await store.remove(file, async () => !(await journal.isDoomed({ file }))))) continue;
        onEvicted(file);
        done.push(file);
      } catch (error) {
        log.warn({ err: error, kind: file.kind, image_id: file.imageId }, 'a file could not be removed');
      }
    }
    if (done.length > 0) await journal.removed({ files: done });
    return done.length;
  }

  return {
    round,
    start() {
      let stopped = false;
      let cancel = () => {};
      let running = Promise.resolve();
      const next = () => {
        running = round()
          .catch((error: unknown) => log.error({ err: error }, 'the image store could not be tidied'))
          .then(() => {
            if (!stopped) cancel = clock.after(ROUND_MS, next);
          });
      };
      next();
      return async () => {
        stopped = true;
        cancel();
        await running;
      };
    },
  };
}
