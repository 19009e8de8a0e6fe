import type { Config } from '../config/schema.ts';
import { asAppError } from '../errors.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import type { Caller, LoggedEvent } from '../render/journal.ts';
import type { Logger } from '../render/logger.ts';
import type { BusOutput } from './bus-messages.ts';
import { readBusRequest, toAlert, toBusMessage } from './bus-messages.ts';
import type { OutgoingMessage } from './bus-outbox.ts';

/** What the bus needs of the core. */
export interface BusRenderer {
  /** Resolves when the request is journalled. `replay`: the last events of a known render that has ended. */
  submit(call: {
    caller: Caller;
    request: RenderRequest;
    ignored: readonly string[];
    mode: 'tolerant';
  }): Promise<{ kind: 'accepted' | 'known'; replay: readonly LoggedEvent[] }>;
  /** Every journalled event after its commit, in order. Returns how to unsubscribe. */
  subscribe(listener: (event: LoggedEvent) => void): () => void;
}

/** One message counted; every label comes from a small set. */
export interface BusCount {
  readonly direction: 'in' | 'out';
  /** In: `RenderRequest` or `other`. Out: `ImageReady` or `Alert`. */
  readonly type: string;
  /** In: `accepted`, `known` or an error code. Out: `sent`, `dropped`, `failed`, or `off` for an Alert nobody wants. */
  readonly outcome: string;
}

/** The bus without its sockets: messages in, messages out. */
export interface BusDoor {
  /** Journals the request in a message, or says why not. Never rejects: no message may stop the next. */
  take(frames: readonly Buffer[]): Promise<void>;
  /** Tells the bus of an event of one of its renders. Never throws. */
  publish(logged: LoggedEvent): void;
}

const CALLER: Caller = { owner: 'bus', door: 'bus' };

/** The door between the bus's messages and the core; what is to be sent goes to `put`. */
export function createBusDoor(options: {
  config: Pick<Config['bus'], 'alerts'>;
  renders: BusRenderer;
  log: Logger;
  count: (message: BusCount) => void;
  put: (message: OutgoingMessage) => void;
}): BusDoor {
  const { config, renders, log, count, put } = options;

  async function take(frames: readonly Buffer[]): Promise<void> {
    const input = readBusRequest(frames);
    const { type, requestId } = input;
    try {
      if (input.kind === 'refused') throw input.error;
      const { request, ignored } = input;
      const { kind, replay } = await renders.submit({ caller: CALLER, request, ignored, mode: 'tolerant' });
      count({ direction: 'in', type, outcome: kind });
      log.debug({ request_id: shortened(requestId), kind, ignored }, 'Bus request taken');
      for (const logged of replay) publish(logged);
    } catch (err) {
      const error = asAppError(err);
      count({ direction: 'in', type, outcome: error.code });
      const level = error.code === 'internal' ? 'error' : 'warn';
      log[level]({ request_id: shortened(requestId), code: error.code, err }, 'Bus request refused');
      post(toAlert(requestId, error));
    }
  }

  function publish({ door, event }: LoggedEvent): void {
    if (door !== 'bus') return;
    try {
      const message = toBusMessage(event);
      if (message !== undefined) post(message);
    } catch (err) {
      log.error({ err, type: event.type, seq: event.seq }, 'An event cannot be told on the bus');
      if ('request_id' in event) post(toAlert(event.request_id, asAppError(err)));
    }
  }

  function post(message: BusOutput): void {
    const { type } = message;
    if (message.type !== 'Alert' || config.alerts === 'results') {
      put({ type, bytes: Buffer.from(JSON.stringify(message)) });
      return;
    }
    count({ direction: 'out', type, outcome: 'off' });
    log.info({ request_id: shortened(message.request_id), code: message.code }, 'Alerts are off: not sent');
  }

  return { take, publish };
}

/** Ids on the bus may have any length; log lines not. */
function shortened(requestId: string | null): string | undefined {
  return requestId?.slice(0, 200);
}
