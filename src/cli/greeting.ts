import { connect } from 'node:net';

/** How long a peer may take to say a word, in ms. */
const PATIENCE_MS = 2000;
/** The first byte of every ZeroMQ connection. */
const SIGNATURE = 0xff;

/** What became of a knock; any other text is why there is no connection. */
export type Greeting = 'greets' | 'silent' | 'strange' | (string & {});

/**
 * Knocks at a ZeroMQ address without becoming a peer of it: a peer would be handed requests, and lose them. A live
 * process greets first; one that is stopped is connected to by the system, and stays silent.
 */
export function greets(address: string): Promise<Greeting> {
  const tcp = /^tcp:\/\/\[?(.+?)\]?:(\d+)$/.exec(address);
  const socket =
    tcp === null
      ? connect({ path: address.replace(/^ipc:\/\//, '') })
      : connect({ host: tcp[1] === '*' ? '127.0.0.1' : tcp[1], port: Number(tcp[2]) });
  return new Promise((resolve) => {
    let connected = false;
    const end = (greeting: Greeting) => {
      socket.destroy();
      resolve(greeting);
    };
    socket.setTimeout(PATIENCE_MS, () => end(connected ? 'silent' : 'nobody answers'));
    socket.on('connect', () => {
      connected = true;
    });
    socket.on('data', (bytes) => end(bytes[0] === SIGNATURE ? 'greets' : 'strange'));
    socket.on('error', (error) => end(reasonOf(error)));
    socket.on('end', () => end('strange'));
  });
}

const REASONS = new Map([
  ['ECONNREFUSED', 'nobody listens there'],
  ['ENOENT', 'nobody listens there'],
  ['ENOTFOUND', 'there is no such host'],
  ['EAI_AGAIN', 'the name of the host cannot be looked up'],
  ['EHOSTUNREACH', 'the host cannot be reached'],
  ['ENETUNREACH', 'the network cannot be reached'],
]);

function reasonOf(error: Error & { code?: string }): string {
  return REASONS.get(error.code ?? '') ?? `no connection: ${error.code ?? 'an unexpected error'}`;
}
