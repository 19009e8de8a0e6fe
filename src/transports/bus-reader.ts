import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { BusIntake } from './bus-layout.ts';
import type { Framing } from './bus-messages.ts';

/** How long a failed read waits before the next. */
const RETRY_MS = 500;
/** How long nothing comes when all that the core has sent is read. */
const QUIET_MS = 100;
/** How long a core that never falls silent is still listened to. */
const REST_MS = 2000;

/** Reads what comes over the bus, one message after the other from each socket. */
export interface BusReader {
  start(): void;
  /** Whether a socket cannot be read from at the moment. */
  readonly failing: boolean;
  /** Resolves when everything that the core has sent so far is taken; after two seconds at the latest. */
  rest(): Promise<void>;
  /** Lets go of the sockets. Resolves when the last message that was read is taken. */
  close(): Promise<void>;
}

/** A reader that hands each message to `take`, which never rejects, before it reads the next. */
export function createBusReader(options: {
  intakes: readonly BusIntake[];
  take: (frames: readonly Buffer[], framing: Framing) => Promise<void>;
  clock: Pick<Clock, 'elapsed'>;
  log: Logger;
}): BusReader {
  const { intakes, take, clock, log } = options;
  const closed = new AbortController();
  let reading: Promise<unknown> = Promise.resolve();
  let failed = 0;
  let read = 0;
  let taken = 0;

  async function readAll({ socket, framing }: BusIntake): Promise<void> {
    while (!socket.closed) {
      try {
        for await (const frames of socket) {
          read += 1;
          await take(frames, framing);
          taken += 1;
        }
      } catch (err) {
        failed += 1;
        log.error({ err }, 'Reading from the bus failed; trying again');
        await unlessClosed(RETRY_MS);
        failed -= 1;
      }
    }
  }

  /** It rejects when the reader is closed: then there is nothing to wait for. */
  async function unlessClosed(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: closed.signal }).catch(() => undefined);
  }

  return {
    start() {
      reading = Promise.all(intakes.map(readAll));
    },
    get failing() {
      return failed > 0;
    },
    // What the core has handed over lies in buffers that end with the sockets, and nobody would send it again.
    async rest() {
      const end = clock.elapsed() + REST_MS;
      let before: number;
      do {
        before = read;
        await unlessClosed(QUIET_MS);
      } while (!closed.signal.aborted && clock.elapsed() < end && (read > before || read > taken));
    },
    async close() {
      closed.abort();
      for (const { socket } of intakes) socket.close();
      await reading;
    },
  };
}
