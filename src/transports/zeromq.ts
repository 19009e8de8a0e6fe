import { setTimeout as sleep } from 'node:timers/promises';
import { Pull, Push } from 'zeromq';
import type { Config } from '../config/schema.ts';
import type { Logger } from '../render/logger.ts';
import type { BusCount, BusRenderer } from './bus-door.ts';
import { createBusDoor } from './bus-door.ts';
import { createLink } from './bus-link.ts';
import { createOutbox } from './bus-outbox.ts';

/** How the bus is: `waiting` while the core is away, and the reason for whatever is not `up`. */
export interface BusStatus {
  readonly state: 'up' | 'waiting' | 'down';
  readonly reason?: string;
  /** Messages that wait for the core. */
  readonly outbox: number;
}

/** The Experimance bus as a transport. Its sockets must stay on the main thread. */
export interface BusTransport {
  /** Throws `config_invalid` when an address is none. A core that is away is waited for. */
  start(): Promise<void>;
  status(): BusStatus;
  /** Resolves when the last request that was read is journalled or refused; results still go out. */
  stopReceiving(): Promise<void>;
  /** Sends for half a second at most what is left, and lets go of the sockets. */
  close(): Promise<void>;
}

/** How long to send at the end, and how long a failed read waits before the next. */
const LINGER_MS = 500;
const RETRY_MS = 500;
/** A core is met again within a second of its return; a host that is off does not even refuse a connection. */
const reconnecting = { reconnectInterval: 100, reconnectMaxInterval: 500, connectTimeout: 1000 };

/** The worker's side of Experimance's bus: takes requests from a core's PUSH, and sends results to its PULL. */
export function createBusTransport(options: {
  config: Config['bus'];
  renders: BusRenderer;
  log: Logger;
  onMessage?: (message: BusCount) => void;
}): BusTransport {
  const { config, renders, log, onMessage: count = () => {} } = options;
  const requests = requestSocket();
  const results = resultSocket();
  const outbox = createOutbox({
    maxMessages: config.outbox,
    send: (bytes) => results.send(bytes),
    onEnd({ type }, outcome, err) {
      count({ direction: 'out', type, outcome });
      if (outcome !== 'sent') log.warn({ type, outcome, err }, 'A bus message was not sent');
    },
  });
  const links = [
    createLink({ key: 'requests', address: config.requests, socket: requests, log }),
    createLink({
      key: 'results',
      address: config.results,
      socket: results,
      log,
      onChange: (connected) => (connected ? outbox.resume() : outbox.pause()),
    }),
  ];
  const door = createBusDoor({ config, renders, log, count, put: (message) => outbox.put(message) });

  let phase: 'new' | 'running' | 'draining' | 'closed' = 'new';
  let readFailed = false;
  let reading = Promise.resolve();
  // From the beginning: a render of before may end while the server starts.
  const unsubscribe = renders.subscribe(door.publish);
  let closing: Promise<void> | undefined;

  async function readAll(): Promise<void> {
    while (!requests.closed) {
      try {
        for await (const frames of requests) {
          readFailed = false;
          await door.take(frames);
        }
      } catch (err) {
        readFailed = true;
        log.error({ err }, 'Reading from the bus failed; trying again');
        await sleep(RETRY_MS);
      }
    }
  }

  async function stopReceiving(): Promise<void> {
    if (phase !== 'closed') phase = 'draining';
    requests.close();
    await reading;
  }

  async function close(): Promise<void> {
    await atMost(LINGER_MS, stopReceiving());
    await atMost(LINGER_MS, outbox.empty());
    phase = 'closed';
    unsubscribe();
    outbox.close();
    results.close();
  }

  function describe(): Omit<BusStatus, 'outbox'> {
    if (phase !== 'running') return { state: 'down', reason: REASONS[phase] };
    if (readFailed) return { state: 'down', reason: 'reading from the bus fails' };
    const away = links.filter(({ connected }) => !connected);
    if (away.length === 0) return { state: 'up' };
    return { state: 'waiting', reason: `no core at ${away.map(({ address }) => address).join(' and ')}` };
  }

  return {
    async start() {
      try {
        for (const link of links) link.open();
      } catch (error) {
        requests.close();
        results.close();
        throw error;
      }
      phase = 'running';
      reading = readAll();
      log.info(
        { project: config.project, requests: config.requests, results: config.results },
        `Taking the work of the ${config.project} core at ${config.requests}, with results to ${config.results}. ` +
          'No other image server may be connected there: each would get a part of the work',
      );
    },
    status: () => ({ ...describe(), outbox: outbox.size }),
    stopReceiving,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

const REASONS = { new: 'not started', draining: 'takes no more requests', closed: 'closed' } as const;

function requestSocket(): Pull {
  return new Pull({
    ...reconnecting,
    // What libzmq has read dies with the process, so let it read no more than one ahead.
    receiveHighWaterMark: 1,
    linger: 0,
    // A larger frame costs the connection, and what waits behind it; one below is refused with an Alert.
    maxMessageSize: 64 * 1024 * 1024,
    // The kernel notices a dead host, not ZMTP heartbeats: they go unanswered while nobody reads, and libzmq 4.3.5
    // aborts the process when it reconnects with a full pipe (zeromq/libzmq#3937).
    tcpKeepalive: 1,
    tcpKeepaliveIdle: 5,
    tcpKeepaliveInterval: 5,
    tcpKeepaliveCount: 3,
  });
}

function resultSocket(): Push {
  return new Push({
    ...reconnecting,
    // Messages wait in the outbox: in libzmq they could neither be bounded nor taken back.
    sendHighWaterMark: 1,
    immediate: true,
    linger: LINGER_MS,
    // A core that hangs does not answer them, and results are better kept than sent to it.
    heartbeatInterval: 5000,
  });
}

async function atMost(ms: number, promise: Promise<void>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([promise, sleep(ms, undefined, { signal: timer.signal })]).finally(() => timer.abort());
}
