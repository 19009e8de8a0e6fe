import { AppError } from '../../errors.ts';
import type { GeneratorHealth } from '../generator.ts';

/** What is the same in the life of every remote generator: its state, what runs, and how it ends. */
export class RemoteLife {
  readonly #name: string;
  readonly #running = new Map<AbortController, Promise<unknown>>();
  #health: GeneratorHealth;
  #closed = false;

  /** `missing` says what the configuration lacks; then the generator is disabled for good. */
  constructor(name: string, missing: string | undefined) {
    this.#name = name;
    this.#health = missing === undefined ? { state: 'starting' } : { state: 'disabled', reason: missing };
  }

  get health(): GeneratorHealth {
    return this.#health;
  }

  /** Changes the state; nothing does once the generator is disabled. */
  become(health: GeneratorHealth): void {
    if (this.#health.state !== 'disabled') this.#health = health;
  }

  /** Throws `generator_unavailable` when the generator is disabled or closed. */
  throwIfDisabled(): void {
    if (this.#health.state === 'disabled') throw this.#unavailable();
  }

  /** Does one work; its signal follows `signal`, and is aborted when the generator is closed. */
  async run<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.throwIfDisabled();
    signal.throwIfAborted();
    return await this.#track((closing) => work(AbortSignal.any([signal, closing])));
  }

  /** Lets something go on by itself until the generator is closed. */
  follow(task: (closing: AbortSignal) => Promise<void>): void {
    if (!this.#closed) void this.#track(task);
  }

  /** Ends everything; resolves when nothing runs. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#health = { state: 'disabled', reason: `The generator ${this.#name} is closed.` };
    for (const closing of this.#running.keys()) closing.abort(this.#unavailable());
    await Promise.allSettled(this.#running.values());
  }

  async #track<T>(work: (closing: AbortSignal) => Promise<T>): Promise<T> {
    const closing = new AbortController();
    const done = work(closing.signal);
    this.#running.set(closing, done);
    try {
      return await done;
    } finally {
      this.#running.delete(closing);
    }
  }

  #unavailable(): AppError {
    const { reason } = this.#health;
    return new AppError(
      'generator_unavailable',
      `The generator ${this.#name} is not running${reason ? `: ${reason}` : '.'}`,
    );
  }
}
