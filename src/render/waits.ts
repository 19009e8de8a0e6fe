import type { Clock } from './clock.ts';
import type { Hub, PublishedEvent } from './hub.ts';

/** Callers that wait for the ends of renders. */
export interface Waits {
  /** Listens from now on; close it. */
  watch(): Watch;
  /** Ends every wait, also those that begin later. */
  endAll(): void;
}

/** Somebody who listens before it is known to what, so that no end is missed meanwhile. */
export interface Watch {
  /** Resolves once the render has ended since `watch`, or after `ms`, when `signal` aborts or the server stops. */
  until(renderId: string, ms: number, signal?: AbortSignal): Promise<void>;
  close(): void;
}

/** Creates them, with one subscription for all. */
export function createWaits({ hub, clock }: { hub: Pick<Hub, 'subscribe'>; clock: Pick<Clock, 'after'> }): Waits {
  /** What each watch has heard that does not know yet what it waits for. */
  const listening = new Set<Set<string>>();
  /** How to end each wait at once, by render. */
  const waiting = new Map<string, Set<() => void>>();
  let ended = false;
  hub.subscribe(({ event }) => {
    if (!isLast(event) || !('render_id' in event)) return;
    for (const heard of listening) heard.add(event.render_id);
    for (const leave of waiting.get(event.render_id) ?? []) leave();
  });

  async function wait(renderId: string, ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (ended || signal?.aborted === true) return;
    const over = Promise.withResolvers<void>();
    const leave = () => over.resolve();
    const others = waiting.get(renderId) ?? new Set();
    waiting.set(renderId, others.add(leave));
    const cancelTimer = clock.after(ms, leave);
    signal?.addEventListener('abort', leave);
    try {
      await over.promise;
    } finally {
      others.delete(leave);
      if (others.size === 0) waiting.delete(renderId);
      cancelTimer();
      signal?.removeEventListener('abort', leave);
    }
  }

  return {
    watch() {
      const heard = new Set<string>();
      listening.add(heard);
      return {
        async until(renderId, ms, signal) {
          listening.delete(heard);
          if (!heard.has(renderId)) await wait(renderId, ms, signal);
        },
        close: () => void listening.delete(heard),
      };
    },

    endAll() {
      ended = true;
      for (const leave of [...waiting.values()].flatMap((leaves) => [...leaves])) leave();
    },
  };
}

/** Whether an event is the last of its render. */
export function isLast(event: PublishedEvent['event']): boolean {
  if (event.type === 'ImageReady') return event.index === event.of - 1;
  return event.type === 'RenderFailed' || event.type === 'RenderCancelled';
}
