import type { AppError } from '../errors.ts';
import { asAppError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** How long a look at the store counts, and how often one in trouble is looked at, in ms. */
const LOOK_MS = 1000;

/** Options of `createStorageGate`. */
export interface StorageGateOptions {
  /** Rejects when images cannot be stored. */
  probe(): Promise<void>;
  /** Hears that images can be stored again. */
  onOpen(): void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Closed while images cannot be stored: what is drawn then, and may be paid, could not be kept. */
export interface StorageGate {
  /** Why nothing may be begun; undefined while it may. Never rejects. */
  trouble(): Promise<AppError | undefined>;
  /** Throws what `trouble` says. */
  admit(): Promise<void>;
  /** An image could not be stored, and waits; returns how to say that it waits no longer. */
  hold(trouble: AppError): () => void;
  /** Looks no more. */
  stop(): void;
}

/** Creates the gate; it opens by itself. */
export function createStorageGate({ probe, onOpen, clock, log }: StorageGateOptions): StorageGate {
  const waiting = new Map<symbol, AppError>();
  let last: { readonly at: number; readonly found: Promise<AppError | undefined> } | undefined;
  let closed = false;
  let cancel = () => {};

  async function trouble(): Promise<AppError | undefined> {
    const [held] = waiting.values();
    // A probe is smaller than an image: it may find room where the image that waits does not.
    const found = held ?? (await probed());
    if (closed !== (found !== undefined)) turn(found);
    return found;
  }

  function probed(): Promise<AppError | undefined> {
    if (last === undefined || clock.elapsed() - last.at >= LOOK_MS) {
      last = { at: clock.elapsed(), found: probe().then(() => undefined, asAppError) };
    }
    return last.found;
  }

  function turn(found: AppError | undefined): void {
    closed = found !== undefined;
    cancel();
    if (closed) {
      log.error({ err: found }, 'images cannot be stored; no render is accepted or begun until they can');
      lookLater();
    } else {
      log.info({}, 'images can be stored again');
      onOpen();
    }
  }

  function lookLater(): void {
    cancel = clock.after(LOOK_MS, () => {
      lookLater();
      void trouble();
    });
  }

  return {
    trouble,
    async admit() {
      const found = await trouble();
      if (found !== undefined) throw found;
    },
    hold(found) {
      const key = Symbol('image');
      waiting.set(key, found);
      void trouble();
      return () => {
        waiting.delete(key);
        void trouble();
      };
    },
    stop: () => cancel(),
  };
}
