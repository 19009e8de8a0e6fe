import { AppError } from '../errors.ts';
import type { Logger } from '../render/logger.ts';

/** How soon libzmq must have said that it tries again. */
const REVIVE_MS = 500;

/** What a link needs of a socket. */
export interface LinkSocket {
  readonly closed: boolean;
  /** What happens to the connection; ends when the socket is closed. */
  readonly events: AsyncIterable<{ readonly type: string; readonly error?: Error }>;
  connect(address: string): void;
  disconnect(address: string): void;
}

/** One socket's connection to the core. */
export interface Link {
  readonly address: string;
  /** Whether the core is there, as far as is known. */
  readonly connected: boolean;
  /** Connects, now and again whenever the connection is lost. Throws `config_invalid` for an address that is none. */
  open(): void;
}

/** Keeps a socket connected; `key` is its address' key in `[bus]`. */
export function createLink(options: {
  key: 'requests' | 'results' | 'events';
  address: string;
  socket: LinkSocket;
  log: Logger;
  /** The work goes on without it. */
  optional?: boolean;
  onChange?: (connected: boolean) => void;
}): Link {
  const { key, address, socket, log, optional = false, onChange } = options;
  // Neither before the first event.
  let state: 'connected' | 'away' | undefined;

  function note(next: 'connected' | 'away', err?: Error): void {
    if (state === next) return;
    state = next;
    if (next === 'connected') log.info({ socket: key, address }, 'Connected to the core');
    else if (optional) log.info({ socket: key, address, err }, 'Nobody publishes there; trying on');
    else log.warn({ socket: key, address, err }, 'The core is away; trying on');
    onChange?.(next === 'connected');
  }

  async function watch(): Promise<void> {
    let reviving: NodeJS.Timeout | undefined;
    let handshakeError: Error | undefined;
    try {
      for await (const { type, error } of socket.events) {
        clearTimeout(reviving);
        if (type === 'handshake') note('connected');
        if (type.startsWith('handshake:error')) handshakeError = error;
        if (type === 'disconnect' || type === 'connect:retry') note('away', handshakeError);
        if (type === 'disconnect') reviving = setTimeout(revive, REVIVE_MS);
      }
    } catch (err) {
      log.error({ err, socket: key }, 'The connection to the core cannot be watched any more');
    } finally {
      clearTimeout(reviving);
    }
  }

  /** After an error of protocol, such as a frame above the cap or the wrong kind of peer, libzmq disconnects for good. */
  function revive(): void {
    if (socket.closed) return;
    log.debug({ socket: key, address }, 'Connecting anew');
    try {
      socket.disconnect(address);
      socket.connect(address);
    } catch (err) {
      log.error({ err, socket: key, address }, 'Connecting anew failed');
    }
  }

  return {
    address,
    get connected() {
      return state === 'connected';
    },
    open() {
      if (!isAddress(address)) throw badAddress(key, address);
      // Before connecting: what happens earlier is never told.
      void watch();
      try {
        socket.connect(address);
      } catch (cause) {
        throw badAddress(key, address, cause);
      }
    },
  };
}

/** libzmq takes some addresses that can never be connected to, and says nothing. */
function isAddress(address: string): boolean {
  const port = /^tcp:\/\/(?!\*)[^\s/]+:(\d+)$/.exec(address)?.[1];
  return port === undefined ? /^ipc:\/\/.+/.test(address) : Number(port) >= 1 && Number(port) <= 65_535;
}

function badAddress(key: string, address: string, cause?: unknown): AppError {
  const message = `[bus] ${key} is "${address}"; expected an address to connect to, like tcp://127.0.0.1:5564.`;
  return new AppError('config_invalid', message, { cause });
}

/** Whether it is a system's or socket's error with this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
