import { WebSocket } from 'ws';
import { z } from 'zod';

const message = z.looseObject({ type: z.string(), seq: z.int().optional() });
const hello = z.object({ type: z.literal('Hello'), last_seq: z.int(), log_id: z.string() });

/** An event as a client of the event stream got it. */
export type SeenEvent = z.infer<typeof message> & { readonly seq: number };

/** What one connection has brought. */
export interface Connection {
  readonly hello: z.infer<typeof hello>;
  readonly events: readonly SeenEvent[];
}

/** Clients of the event stream, one after the other, over all starts of the server. */
export interface Watcher {
  readonly connections: readonly Connection[];
  /** Resolves after `Hello`, or when the server has died before. */
  connect(url: string): Promise<void>;
}

/** A watcher that has not connected yet. */
export function createWatcher(): Watcher {
  const connections: Connection[] = [];
  return {
    connections,
    async connect(url) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/events`);
      const greeted = Promise.withResolvers<void>();
      const events: SeenEvent[] = [];
      socket.on('message', (data) => {
        const received = message.parse(JSON.parse(String(data)));
        if (received.type === 'Hello') {
          connections.push({ hello: hello.parse(received), events });
          greeted.resolve();
        } else if (received.seq !== undefined) events.push({ ...received, seq: received.seq });
      });
      // A killed server resets the connection.
      socket.on('error', () => greeted.resolve());
      socket.on('close', () => greeted.resolve());
      await greeted.promise;
    },
  };
}
