import type { Clock } from './clock.ts';
import type { Hub, PublishedEvent } from './hub.ts';

/** Callers that wait for the end of a render. */
export interface Waits {
  /**
   * Resolves once the render is over, or after `ms`, when `signal` aborts or the server stops. `isOver` is asked after
   * listening has begun, so that an end in between is not missed.
   */
  until(renderId: string, ms: number, isOver: () => Promise<boolean>, signal?: AbortSignal): Promise<void>;
  /** Ends every wait, also those that begin later. */
  endAll(): void;
}

/** Creates them. */
export function createWaits({ hub, clock }: { hub: Pick<Hub, 'subscribe'>; clock: Pick<Clock, 'after'> }): Waits {
  /** How to end each wait at once. */
  const waits = new Set<() => void>();
  let ended = false;
  return {
    async until(renderId, ms, isOver, signal) {
      const over = Promise.withResolvers<void>();
      const leave = () => over.resolve();
      const unsubscribe = hub.subscribe(({ event }) => {
        if (isLast(event) && 'render_id' in event && event.render_id === renderId) leave();
      });
      const cancelTimer = clock.after(ms, leave);
      waits.add(leave);
      signal?.addEventListener('abort', leave);
      try {
        if (!(await isOver()) && signal?.aborted !== true && !ended) await over.promise;
      } finally {
        unsubscribe();
        cancelTimer();
        waits.delete(leave);
        signal?.removeEventListener('abort', leave);
      }
    },

    endAll() {
      ended = true;
      for (const end of waits) end();
    },
  };
}

/** Whether an event is the last of its render. */
export function isLast(event: PublishedEvent['event']): boolean {
  if (event.type === 'ImageReady') return event.index === event.of - 1;
  return event.type === 'RenderFailed' || event.type === 'RenderCancelled';
}
