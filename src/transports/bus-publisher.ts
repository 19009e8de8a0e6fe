import { AppError } from '../errors.ts';
import type { Logger } from '../render/logger.ts';
import { hasCode } from './bus-link.ts';
import type { OutgoingMessage } from './bus-replay.ts';

/** What a publisher needs of its socket. */
export interface PublisherSocket extends AsyncIterable<readonly Buffer[]> {
  readonly closed: boolean;
  /** Whether a full reader makes `send` reject, in place of missing the message in silence. */
  noDrop: boolean;
  bind(address: string): Promise<void>;
  send(message: string | Buffer): Promise<void>;
  close(): void;
}

/**
 * `stalled`: a reader was too slow and begins to miss messages, the others have them. `unheard`: nobody subscribes to it.
 */
export type PublishOutcome = 'sent' | 'stalled' | 'unheard';

/** The address where this server publishes. */
export interface BusPublisher {
  readonly address: string;
  /** Throws `port_in_use` or `config_invalid`. */
  open(): Promise<void>;
  /** Whether somebody subscribes to the topic. */
  isHeard(topic: string): boolean;
  /** One frame: the type as topic, a space, the JSON. Never waits for readers. */
  send(message: OutgoingMessage): Promise<PublishOutcome>;
  close(): void;
}

/** A publisher on a socket that tells who subscribes; `onSubscribers` hears of each change. */
export function createBusPublisher(options: {
  address: string;
  socket: PublisherSocket;
  log: Logger;
  onSubscribers?: () => void;
}): BusPublisher {
  const { address, socket, log, onSubscribers } = options;
  const prefixes = new Set<string>();
  // Whether slow readers are left out; the socket does not tell.
  let dropping = false;
  // The socket bears one pending send only.
  let last: Promise<unknown> = Promise.resolve();

  async function watch(): Promise<void> {
    try {
      for await (const [notice] of socket) {
        if (notice === undefined) continue;
        const prefix = notice.toString('utf8', 1);
        if (notice[0] === 1) prefixes.add(prefix);
        else if (notice[0] === 0) prefixes.delete(prefix);
        log.debug({ address, topics: [...prefixes].slice(0, 16) }, 'The subscriptions of the bus have changed');
        if (dropping) socket.noDrop = true;
        dropping = false;
        onSubscribers?.();
      }
    } catch (err) {
      log.error({ err, address }, 'The subscriptions of the bus cannot be watched any more');
    }
  }

  function isHeard(topic: string): boolean {
    const start = `${topic} `;
    return [...prefixes].some((prefix) => start.startsWith(prefix));
  }

  async function publish({ type, bytes }: OutgoingMessage): Promise<PublishOutcome> {
    if (!isHeard(type)) return 'unheard';
    const frame = Buffer.concat([Buffer.from(`${type} `), bytes]);
    try {
      await socket.send(frame);
      return 'sent';
    } catch (error) {
      if (socket.closed || !hasCode(error, 'EAGAIN')) throw error;
      log.warn({ address, type }, 'Somebody who listens to the bus reads too slowly, and misses messages');
      // From now on they miss them in silence, until the listeners are others: one must not hold up the rest.
      socket.noDrop = false;
      dropping = true;
      await socket.send(frame);
      return 'stalled';
    }
  }

  return {
    address,
    async open() {
      try {
        await socket.bind(address);
      } catch (cause) {
        throw bindError(address, cause);
      }
      void watch();
    },
    isHeard,
    send(message) {
      const sending = last.then(() => publish(message));
      // The error is the caller's; the next message goes out all the same.
      last = sending.catch(() => undefined);
      return sending;
    },
    close: () => socket.close(),
  };
}

function bindError(address: string, cause: unknown): AppError {
  if (hasCode(cause, 'EADDRINUSE')) {
    const message = `${address}, where the bus publishes, is taken by another process; see [bus] images.`;
    return new AppError('port_in_use', message, { cause });
  }
  const message = `[bus] images is "${address}"; expected an address of this machine, like tcp://127.0.0.1:5558.`;
  return new AppError('config_invalid', message, { cause });
}
