/** Lets one work run at a time, in the order in which they came. */
export interface Turns {
  /** Resolves when it is the caller's turn, with how to end it. Rejects with the signal's reason if that is aborted first. */
  take(signal: AbortSignal): Promise<() => void>;
}

/** Creates the queue. */
export function createTurns(): Turns {
  const waiting: (() => void)[] = [];
  let busy = false;

  function pass(): void {
    const next = waiting.shift();
    if (next === undefined) busy = false;
    else next();
  }

  return {
    async take(signal) {
      signal.throwIfAborted();
      if (busy) {
        await new Promise<void>((resolve, reject) => {
          const go = (): void => {
            signal.removeEventListener('abort', leave);
            resolve();
          };
          const leave = (): void => {
            waiting.splice(waiting.indexOf(go), 1);
            reject(signal.reason);
          };
          signal.addEventListener('abort', leave, { once: true });
          waiting.push(go);
        });
      }
      busy = true;
      return pass;
    },
  };
}
