import type { WebSocket } from 'ws';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { Hello } from '../messages/events.ts';
import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { RenderService } from '../render/service.ts';
import { eventSchemas, problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';

/** Unsent bytes that one client may have before messages are kept from it. */
const MAX_BUFFERED = 1024 * 1024;
const PING_MS = 30_000;
/** Pings that may stay unanswered before a client counts as dead. */
const MAX_MISSED_PINGS = 2;
/** How long clients have to answer a goodbye, in ms. */
const GOODBYE_MS = 1000;

/** Close codes: RFC 6455, section 7.4. */
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/** Options of `createEventStream`. */
export interface EventStreamOptions {
  readonly renders: Pick<RenderService, 'subscribe' | 'subscribeProgress' | 'lastSeq' | 'logId'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Name and version, for `Hello`. */
  readonly server: string;
  onDrop(kind: string): void;
  onClose(reason: string): void;
}

/** The WebSocket event stream: `Hello`, then every event as it is committed. */
export type EventStream = ReturnType<typeof createEventStream>;

/** Creates the stream; each message is serialised once for all clients. */
export function createEventStream({ renders, clock, log, server, onDrop, onClose }: EventStreamOptions) {
  const clients = new Map<WebSocket, { missedPings: number }>();
  /** Every connection that has not ended, also those that were told to. */
  const open = new Set<WebSocket>();
  let closing = false;
  let stopPings = clock.after(PING_MS, pingAll);

  const stopEvents = renders.subscribe((message) => {
    for (const socket of clients.keys()) {
      if (socket.bufferedAmount <= MAX_BUFFERED) socket.send(message.json);
      // An event must not be missing without notice: the client comes back when it can keep up.
      else leave(socket, TRY_AGAIN_LATER, 'slow');
    }
  });
  const stopProgress = renders.subscribeProgress((progress) => {
    if (clients.size === 0) return;
    const json = JSON.stringify(progress);
    for (const socket of clients.keys()) {
      if (socket.bufferedAmount <= MAX_BUFFERED) socket.send(json);
      else onDrop('progress');
    }
  });

  function pingAll(): void {
    for (const [socket, state] of clients) {
      if (state.missedPings >= MAX_MISSED_PINGS) {
        leave(socket, GOING_AWAY, 'dead');
        socket.terminate();
        continue;
      }
      state.missedPings += 1;
      socket.ping();
    }
    stopPings = clock.after(PING_MS, pingAll);
  }

  function leave(socket: WebSocket, code: number, reason: string): void {
    if (!clients.delete(socket)) return;
    onClose(reason);
    log.info({ reason, code }, 'an event client was disconnected');
    socket.close(code, reason);
  }

  /** Serves one connection until it ends. */
  function serve(socket: WebSocket): void {
    if (closing) {
      socket.terminate();
      return;
    }
    const state = { missedPings: 0 };
    const hello: Hello = {
      type: 'Hello',
      last_seq: renders.lastSeq,
      log_id: renders.logId,
      server,
      protocol: 1,
    };
    socket.send(JSON.stringify(hello));
    clients.set(socket, state);
    open.add(socket);
    socket.on('pong', () => {
      state.missedPings = 0;
    });
    socket.on('message', (data, isBinary) => {
      if (socket.bufferedAmount <= MAX_BUFFERED) socket.send(JSON.stringify(answerTo(String(data), isBinary)));
      // It asks and asks without reading the answers.
      else leave(socket, TRY_AGAIN_LATER, 'slow');
    });
    socket.on('close', () => {
      open.delete(socket);
      if (clients.delete(socket)) onClose('client');
    });
  }

  return {
    serve,
    get clients() {
      return clients.size;
    },
    /** Says goodbye to all clients; resolves when they are gone. */
    async close(): Promise<void> {
      stopPings();
      stopEvents();
      stopProgress();
      closing = true;
      const gone = [...open].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
      for (const socket of clients.keys()) leave(socket, GOING_AWAY, 'shutdown');
      const giveUp = clock.after(GOODBYE_MS, () => {
        for (const socket of open) socket.terminate();
      });
      await Promise.all(gone);
      giveUp();
    },
  };
}

/** What a client's message is answered with: it may only listen so far. */
function answerTo(text: string, isBinary: boolean) {
  const error = (code: string, message: string) => ({ type: 'Error', code, message });
  if (isBinary) return error('malformed_json', 'Send JSON in text frames.');
  try {
    const message = z.object({ type: z.string() }).safeParse(JSON.parse(text));
    return message.success
      ? error('unsupported_message', 'This server sends every event from the connection on; there is nothing to ask.')
      : error('malformed_json', 'Messages are JSON objects with a type.');
  } catch {
    return error('malformed_json', 'The message is not valid JSON.');
  }
}

/** Adds the route of the event stream. */
export function addEventRoutes(app: HttpServer, stream: EventStream): void {
  app.route({
    method: 'GET',
    url: '/v1/events',
    exposeHeadRoute: false,
    schema: {
      tags: ['events'],
      summary: 'WebSocket: everything that happens, as it happens',
      description: 'Upgrade to a WebSocket. Each text frame is one Event; the first is Hello.',
      response: { 101: eventSchemas, ...problems(403, 426) },
    },
    handler: (_request, reply) => {
      void reply.header('upgrade', 'websocket');
      throw new AppError('upgrade_required', 'Connect with a WebSocket client.');
    },
    wsHandler: (socket) => stream.serve(socket),
  });
}
