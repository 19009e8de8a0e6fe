import { coreSockets, eventSocket } from './zeromq.ts';

/** Where a core and its image server meet. */
export interface CoreAddresses {
  readonly layout: 'worker' | 'pubsub';
  readonly requests: string;
  readonly results: string;
  readonly events: string;
  readonly images: string;
}

/** The core's side of the bus. */
export interface BusCore {
  /** Resolves when an image server has taken the request, as far as ZeroMQ tells; waits for one until `signal` aborts. */
  send(request: { readonly type: string }, signal: AbortSignal): Promise<void>;
  /** Everything that comes back, as text without its topic; ends with `close`. */
  readonly answers: AsyncIterable<string>;
  close(): void;
}

/** Takes the core's place. Rejects with `EADDRINUSE` when somebody has it. */
export async function openBusCore(at: CoreAddresses): Promise<BusCore> {
  return at.layout === 'worker' ? await openWorkerCore(at) : await openPubsubCore(at);
}

async function openWorkerCore({ requests, results }: CoreAddresses): Promise<BusCore> {
  const out = coreSockets.requests();
  const back = coreSockets.results();
  const close = () => {
    out.close();
    back.close();
  };
  await binding(() => Promise.all([out.bind(requests), back.bind(results)]), close);
  return { send: (request, signal) => until(signal, out.send(JSON.stringify(request))), answers: texts(back), close };
}

async function openPubsubCore({ events, images }: CoreAddresses): Promise<BusCore> {
  const out = coreSockets.events();
  const back = eventSocket(['ImageReady', 'Alert']);
  const close = () => {
    out.close();
    back.close();
  };
  await binding(() => out.bind(events), close);
  back.connect(images);
  return {
    async send(request, signal) {
      // The first message of XPUB's own says that a server listens; without one the request would be lost.
      await until(signal, out.receive());
      await out.send(`${request.type} ${JSON.stringify(request)}`);
    },
    answers: texts(back),
    close,
  };
}

/** Listens to what is published at the addresses, one text a message, its topic first. */
export function listenToBus(addresses: readonly string[]): { messages: AsyncIterable<string>; close(): void } {
  const socket = eventSocket(['']);
  for (const address of addresses) socket.connect(address);
  return { messages: raw(socket), close: () => socket.close() };
}

async function binding(bind: () => Promise<unknown>, close: () => void): Promise<void> {
  try {
    await bind();
  } catch (error) {
    close();
    throw error;
  }
}

async function until(signal: AbortSignal, promise: Promise<unknown>): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    // Whoever gives up closes the socket, and what was pending then rejects.
    promise.catch(() => undefined);
    aborted.promise.catch(() => undefined);
  }
}

async function* raw(socket: AsyncIterable<readonly Buffer[]>): AsyncGenerator<string> {
  for await (const frames of socket) yield frames.map(String).join(' ');
}

async function* texts(socket: AsyncIterable<readonly Buffer[]>): AsyncGenerator<string> {
  for await (const text of raw(socket)) yield text.startsWith('{') ? text : text.slice(text.indexOf(' ') + 1);
}
