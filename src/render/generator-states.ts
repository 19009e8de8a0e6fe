import type { AppError } from '../errors.ts';
import { asAppError } from '../errors.ts';
import type { GeneratorHealth, ServedGenerator } from '../generators/generator.ts';
import type { NewEvent } from '../messages/events.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';

/** Options of `createGeneratorStates`. */
export interface GeneratorStatesOptions {
  readonly generators: ReadonlyMap<string, ServedGenerator>;
  readonly journal: Pick<Journal, 'note'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Logger;
  /** Hears of a generator that may take work again. */
  wake(generator: string): void;
  /** Hears of a generator that can never start, for lack of a setting. */
  onFatal(error: AppError): void;
}

/** Starts the generators, and has everybody hear of what becomes of them. */
export function createGeneratorStates(options: GeneratorStatesOptions) {
  const { generators, journal, clock, log } = options;
  const last = new Map<string, GeneratorHealth['state']>();
  // For want of a key or an address, as its reason says: no part of this server, and no news.
  const used = new Map([...generators].filter(([, { generator }]) => generator.health().state !== 'disabled'));

  async function start(name: string, { generator }: ServedGenerator): Promise<void> {
    try {
      await generator.start();
    } catch (thrown) {
      const error = asAppError(thrown);
      if (error.code === 'config_invalid') options.onFatal(error);
      else log.error({ err: error, generator: name }, 'a generator could not be started');
    }
    look(name);
  }

  /** A generator that takes work again is given some; its state is an event once, however often it says so. */
  function look(name: string): void {
    const health = generators.get(name)?.generator.health();
    if (health === undefined || health.state === last.get(name)) return;
    last.set(name, health.state);
    options.wake(name);
    void note(name, health);
  }

  /** Makes a state an event. Never rejects. */
  async function note(generator: string, { state, reason }: GeneratorHealth): Promise<void> {
    const event: NewEvent = { type: 'GeneratorState', generator, state, ...(reason === undefined ? {} : { reason }) };
    try {
      await journal.note({ event, at: clock.now() });
    } catch (error) {
      log.error({ err: error, generator, state }, 'a generator’s state could not be journalled');
    }
  }

  return {
    /** Names of those that were not disabled from the beginning. */
    used: [...used.keys()],
    look,
    note,
    /** Starts all that are used, each for itself: the server takes work before a model is loaded. */
    startAll(): void {
      for (const [name, served] of used) void start(name, served);
    },
  };
}
