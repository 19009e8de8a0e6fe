import type { Clock } from '../src/render/clock.ts';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Time that passes only when a test says so. */
export class ManualClock implements Clock {
  #timers: Timer[] = [];
  #elapsed = 0;
  #startedAt: number;
  #timerAdded = Promise.withResolvers<void>();

  /** `startedAt`: ms since 1970. */
  constructor(startedAt = Date.UTC(2026, 10, 22, 6)) {
    this.#startedAt = startedAt;
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  now(): number {
    return Math.floor(this.#startedAt + this.#elapsed);
  }

  elapsed(): number {
    return this.#elapsed;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#elapsed + Math.max(0, ms), fn };
    this.#timers = [...this.#timers, timer].sort((a, b) => a.at - b.at);
    this.#timerAdded.resolve();
    this.#timerAdded = Promise.withResolvers();
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Lets `ms` pass: fires what falls due, in order, also what is set meanwhile. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let next = this.#timers[0]; next !== undefined && next.at <= end; next = this.#timers[0]) {
      await this.#fire(next);
    }
    this.#elapsed = end;
    await settle();
  }

  /** Sets the wall clock forward, or back, by `ms`; no time passes. */
  jump(ms: number): void {
    this.#startedAt += ms;
  }

  /** Resolves when a timer is pending. */
  async untilPending(): Promise<void> {
    while (this.pending === 0) await this.#timerAdded.promise;
  }

  /**
   * Lets time pass from timer to timer until `promise` is settled; then as `promise`. Timers also fire while it waits
   * for something else, so it is not for work that a timer of its own could end early.
   */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const end = promise.then(
      () => {
        settled = true;
      },
      () => {
        settled = true;
      },
    );
    await settle();
    while (!settled) {
      const next = this.#timers[0];
      if (next === undefined) await Promise.race([end, this.#timerAdded.promise]);
      else await this.#fire(next);
    }
    return await promise;
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers = this.#timers.filter((other) => other !== timer);
    this.#elapsed = Math.max(this.#elapsed, timer.at);
    timer.fn();
    await settle();
  }
}

/** Lets everything go on that waits for nothing but promises. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
