import { ClientError } from './client-error.ts';
import type { StreamMessage } from './stream-messages.ts';
import { parseMessage } from './stream-messages.ts';

/** Most messages that may wait for a loop that is slower than the server. */
const MAX_WAITING = 10_000;

/** Close codes: RFC 6455, section 7.4. */
const NORMAL = 1000;
const TRY_AGAIN_LATER = 1013;

/** Options of `openEventStream`. */
export interface EventStreamOptions {
  readonly url: string;
  readonly WebSocket: typeof WebSocket;
  /** Ends the connection; the loop then ends without an error. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects at once and keeps what comes until it is read; leaving the loop ends the connection. When the server ends
 * it, the loop throws after the last message: `unreachable` before the first one came, else `disconnected`.
 */
export function openEventStream({ url, WebSocket, signal }: EventStreamOptions): AsyncGenerator<StreamMessage, void> {
  signal?.throwIfAborted();
  const socket = new WebSocket(url);
  const waiting: StreamMessage[] = [];
  let end: { readonly error?: unknown } | undefined;
  let wake = () => {};
  let opened = false;

  function finish(error?: unknown): void {
    end ??= error === undefined ? {} : { error };
    signal?.removeEventListener('abort', leave);
    socket.close();
    wake();
  }
  const leave = () => {
    waiting.length = 0;
    finish();
  };
  signal?.addEventListener('abort', leave);

  socket.addEventListener('message', ({ data }) => {
    if (end !== undefined) return;
    opened = true;
    try {
      waiting.push(parseMessage(String(data)));
    } catch (error) {
      finish(error);
    }
    if (waiting.length > MAX_WAITING) finish(disconnected(`more than ${MAX_WAITING} events waited to be read`));
    wake();
  });
  socket.addEventListener('close', ({ code, reason }) => {
    if (code === NORMAL) finish();
    else if (opened) finish(disconnected(code === TRY_AGAIN_LATER ? 'it was read too slowly' : why(code, reason)));
    else finish(new ClientError('unreachable', `No event stream could be opened at ${url}.`, { retryable: true }));
  });

  return (async function* () {
    try {
      for (;;) {
        const message = waiting.shift();
        if (message !== undefined) yield message;
        else if (end === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else if ('error' in end) throw end.error;
        else return;
      }
    } finally {
      finish();
    }
  })();
}

function disconnected(reason: string): ClientError {
  return new ClientError('disconnected', `The event stream ended: ${reason}.`, { retryable: true });
}

function why(code: number, reason: string): string {
  return reason === '' ? `the connection closed with ${code}` : `the server closed it (${code}, ${reason})`;
}
