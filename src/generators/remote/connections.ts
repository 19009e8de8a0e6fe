import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../render/clock.ts';

/**
 * How long a connection may have been idle to carry a submit, in ms: a fifth of what the least patient servers wait
 * before they close one. Node keeps none whose server announces less than 2 s (`Keep-Alive: timeout=1`).
 */
const MOST_IDLE_MS = 1000;

/** The connections to one provider. */
export interface Connections {
  /** Where any request that may be repeated gets its connection: one that was idle for however long, or a new one. */
  forReads(protocol: string): HttpAgent;
  /** The same for a submit, when it is sent at once: one that was idle for less than a second, or a new one. */
  forSubmits(protocol: string): Promise<HttpAgent>;
  /** Lets go of idle connections. */
  close(): void;
}

/**
 * Creates the pools of a provider's connections. A server may close one that is idle just when a request is on its way,
 * and nobody can tell then whether a submit was taken; so submits have a pool of their own, in which none grows old.
 */
export function createConnections(clock: Pick<Clock, 'elapsed'>): Connections {
  const reads = createPool();
  const submits = createPool();
  const idleSince = new WeakMap<object, number>();
  for (const agent of [submits.http, submits.https]) {
    const keep = agent.keepSocketAlive.bind(agent);
    agent.keepSocketAlive = (socket) => {
      idleSince.set(socket, clock.elapsed());
      // Not nothing, as its type says, but whether the connection is kept.
      return keep(socket);
    };
  }

  function isFresh(socket: Socket): boolean {
    const idleMs = clock.elapsed() - (idleSince.get(socket) ?? Number.NEGATIVE_INFINITY);
    return idleMs < MOST_IDLE_MS && socket.writable && !socket.readableEnded;
  }

  return {
    forReads: (protocol) => agentOf(reads, protocol),
    async forSubmits(protocol) {
      const agent = agentOf(submits, protocol);
      if (Object.keys(agent.freeSockets).length === 0) return agent;
      // The end of a connection may have come and nobody have looked: a whole turn of the event loop begins at the second.
      await nextTurn();
      await nextTurn();
      const idle = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
      for (const socket of idle) if (!isFresh(socket)) socket.destroy();
      return agent;
    },
    close() {
      for (const { http, https } of [reads, submits]) {
        http.destroy();
        https.destroy();
      }
    },
  };
}

interface Pool {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** Of our own, since Node's global agents may be told by the environment to use a proxy. */
function createPool(): Pool {
  // `fifo` is the order in which Node passes over connections that are destroyed.
  const options = { keepAlive: true, scheduling: 'fifo' } as const;
  return { http: new HttpAgent(options), https: new HttpsAgent(options) };
}

function agentOf({ http, https }: Pool, protocol: string): HttpAgent {
  return protocol === 'https:' ? https : http;
}
