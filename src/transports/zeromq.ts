import { Pull, Push, Subscriber, XPublisher } from 'zeromq';

/** How long a socket that is closed goes on sending. */
export const LINGER_MS = 500;

/** What of a socket is read from. Ends when it is closed; may throw before. */
export interface Intake extends AsyncIterable<readonly Buffer[]> {
  readonly closed: boolean;
  close(): void;
}

/** A peer is met again within a second of its return; a host that is off does not even refuse a connection. */
const reconnecting = { reconnectInterval: 100, reconnectMaxInterval: 500, connectTimeout: 1000 };

/**
 * For sockets that read: the kernel notices a dead host, not ZMTP heartbeats, for they go unanswered while nobody reads,
 * and libzmq 4.3.5 aborts the process when it reconnects with a full pipe (zeromq/libzmq#3937).
 */
const keepalive = { tcpKeepalive: 1, tcpKeepaliveIdle: 5, tcpKeepaliveInterval: 5, tcpKeepaliveCount: 3 };

/** A larger frame costs the connection, and what waits behind it; one below is refused with an Alert. */
const maxMessageSize = 64 * 1024 * 1024;

/** Takes requests from a core's PUSH. */
export function requestSocket(): Pull {
  return new Pull({
    ...reconnecting,
    ...keepalive,
    maxMessageSize,
    // What libzmq has read dies with the process, so let it read no more than one ahead.
    receiveHighWaterMark: 1,
    linger: 0,
  });
}

/** Brings results to a core's PULL. */
export function resultSocket(): Push {
  return new Push({
    ...reconnecting,
    // Messages wait in the outbox: in libzmq they could neither be bounded nor taken back.
    sendHighWaterMark: 1,
    sendTimeout: 500,
    immediate: true,
    linger: LINGER_MS,
    // A core that hangs does not answer them, and results are better kept than sent to it.
    heartbeatInterval: 5000,
    // The kernel takes its connections all the same: without a greeting they count for nothing.
    handshakeInterval: 2000,
  });
}

/** Hears what a core publishes under the given topics; the empty one stands for all. */
export function eventSocket(topics: readonly string[]): Subscriber {
  const socket = new Subscriber({ ...reconnecting, ...keepalive, maxMessageSize, receiveHighWaterMark: 64, linger: 0 });
  socket.subscribe(...topics);
  return socket;
}

/** Publishes, and hears who subscribes to what. */
export function publishSocket(): XPublisher {
  return new XPublisher({
    linger: LINGER_MS,
    // Few, for images may come with their bytes.
    sendHighWaterMark: 64,
    // Says that somebody reads too slowly, in place of leaving them out in silence.
    noDrop: true,
    sendTimeout: 0,
    heartbeatInterval: 5000,
    handshakeInterval: 2000,
  });
}

/** The sockets of a core, for the command line, which takes its place. */
export const coreSockets = {
  requests: () => new Push({ linger: LINGER_MS, immediate: true }),
  results: () => new Pull({ linger: 0 }),
  events: () => new XPublisher({ linger: LINGER_MS }),
};
