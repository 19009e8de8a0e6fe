import type { AppError } from '../errors.ts';
import type { ImageGenerator } from '../generators/generator.ts';
import type { Clock } from './clock.ts';
import { nameOf } from './fallbacks.ts';
import type { Progress } from './present.ts';
import type { ClaimedWork, SpentTime, Waiter } from './records.ts';

/** A render that waits for work under way, and since when by the clock's `elapsed`. */
interface WaitingRender {
  readonly waiter: Waiter;
  readonly since: number;
  readonly cancelTimer: () => void;
}

/** Whether the generator goes on with a job that is there already, and paid, instead of asking for another. */
export function hasJob(generator: ImageGenerator, { remoteId }: Pick<RunningWork, 'remoteId'>): boolean {
  return remoteId !== undefined && generator.submitsAgain?.(remoteId) !== true;
}

/** Claimed work under way, with those who wait for it. */
export class RunningWork {
  readonly claimed: ClaimedWork;
  readonly abort = new AbortController();
  /** The attempt under way; more than the claimed one after a retry. */
  attempt: number;
  /** By the clock's `elapsed`: when this attempt and its drawing began. */
  attemptStartedAt: number;
  drawingStartedAt: number;
  /** How often this generator, or this model of it, has failed at it, in earlier runs as well. */
  failures: number;
  progress: Progress | undefined;
  /** A provider's job id, if there is one. */
  remoteId: string | undefined;
  /** Whether the provider may go on although the attempt has ended. */
  detached = false;
  /** Gives the generator's slot back before the end is written: nothing is drawn any more. */
  freeSlot = () => {};
  /** Whether it waits for its next attempt. */
  isPausing = false;
  /** What the storage is in trouble with, while the result waits for it. */
  storageTrouble: AppError | undefined;

  readonly #clock: Clock;
  readonly #expire: (work: RunningWork, waiter: Waiter) => void;
  readonly #waiting = new Map<string, WaitingRender>();
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;

  /** `expire` is called when the time of a waiter is over. */
  constructor(claimed: ClaimedWork, clock: Clock, expire: (work: RunningWork, waiter: Waiter) => void) {
    this.claimed = claimed;
    this.attempt = claimed.attempt;
    this.attemptStartedAt = clock.elapsed();
    this.drawingStartedAt = this.attemptStartedAt;
    this.failures = claimed.failures[nameOf({ ...claimed, model: claimed.spec.model })] ?? 0;
    this.remoteId = claimed.remoteId;
    this.#clock = clock;
    this.#expire = expire;
    for (const waiter of claimed.waiters) this.join(waiter);
  }

  /** One more waits; its time runs from now on. */
  join(waiter: Waiter): void {
    const leftMs = Math.max(0, waiter.timeoutMs - waiter.spentMs);
    const cancelTimer = this.#clock.after(leftMs, () => this.#expire(this, waiter));
    this.#waiting.set(waiter.renderId, { waiter, since: this.#clock.elapsed(), cancelTimer });
  }

  /** One has its end, and hears no more of it. */
  leave(renderId: string): void {
    this.#waiting.get(renderId)?.cancelTimer();
    this.#waiting.delete(renderId);
  }

  /** Those who wait, the first one first. */
  get waiters(): Waiter[] {
    return [...this.#waiting.values()].map(({ waiter }) => waiter);
  }

  /** What the attempt has told is not the next one's. */
  forgetAttempt(): void {
    this.progress = undefined;
    this.remoteId = undefined;
    this.detached = false;
  }

  /** How long the attempt has taken, in ms. */
  get ranMs(): number {
    return this.#clock.elapsed() - this.attemptStartedAt;
  }

  /** How much of its time each waiter has used. */
  get spent(): SpentTime[] {
    const now = this.#clock.elapsed();
    return [...this.#waiting.values()].map(({ waiter, since }) => ({
      renderId: waiter.renderId,
      spentMs: waiter.spentMs + now - since,
    }));
  }

  /** How long the most patient one still waits, in ms. */
  get leftMs(): number {
    const left = this.spent.map(({ spentMs }, at) => (this.waiters[at]?.timeoutMs ?? 0) - spentMs);
    return Math.max(0, ...left);
  }

  /** Resolves when nothing of it runs any more. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Says that nothing of it runs any more. */
  end(): void {
    for (const { cancelTimer } of this.#waiting.values()) cancelTimer();
    this.#waiting.clear();
    this.#isOver = true;
    this.#over.resolve();
  }

  /** Which work this is, for the log. */
  get context() {
    const { workId, generator, waiters } = this.claimed;
    const [first] = waiters;
    return {
      ...{ work_id: workId, attempt: this.attempt, generator },
      ...{ render_id: first?.renderId, request_id: first?.requestId },
    };
  }
}
