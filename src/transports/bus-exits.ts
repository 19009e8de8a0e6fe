import type { Config } from '../config/schema.ts';
import type { Alert, BusImageReady } from '../messages/bus.ts';
import type { NewEvent } from '../messages/events.ts';
import type { Logger } from '../render/logger.ts';
import type { OpenAlerts } from './bus-alerts.ts';
import type { BusCount } from './bus-door.ts';
import { toAlert } from './bus-messages.ts';
import type { OutgoingMessage } from './bus-replay.ts';

/** Where what the bus gets to hear leaves. */
export interface BusExits {
  image(message: BusImageReady): void;
  alert(message: Alert): void;
  /** A generator that is away is an Alert of its own, where Alerts are published. */
  generatorState(event: NewEvent & { type: 'GeneratorState' }): void;
  /** Results were dropped, for the core was away too long. */
  outboxOverflowed(): void;
  /** The core takes results. */
  outboxEmptied(): void;
}

/** Images go to `put`, and Alerts where `[bus] alerts` says; `published` is there when this server publishes. */
export function createBusExits(options: {
  config: Pick<Config['bus'], 'layout' | 'alerts'>;
  put: (message: OutgoingMessage) => void;
  published: OpenAlerts | undefined;
  log: Logger;
  count: (message: BusCount) => void;
}): BusExits {
  const { config, put, log, count } = options;
  const on = config.alerts !== 'off';
  const published = on ? options.published : undefined;
  // Published results take the Alerts with them.
  const onResults = on && config.layout === 'worker' && config.alerts !== 'publish';

  let overflowed = false;

  return {
    image(message) {
      put({ ...toMessage(message), place: `${message.era ?? ''}/${message.biome ?? ''}` });
      published?.settle(requestKey(message.request_id));
    },
    alert(message) {
      if (!on) {
        count({ direction: 'out', type: message.type, outcome: 'off' });
        log.info({ request_id: message.request_id?.slice(0, 200), code: message.code }, 'Alerts are off: not sent');
        return;
      }
      if (onResults) put(toMessage(message));
      const isOpen = message.severity === 'error' && message.request_id !== null;
      if (isOpen) published?.open(requestKey(message.request_id), message);
      else published?.say(message);
    },
    generatorState({ generator, state, reason }) {
      const key = `generator ${generator}`;
      if (state !== 'open' && state !== 'disabled') {
        published?.settle(key);
        return;
      }
      // Reasons are sentences.
      const why = reason === undefined ? '' : `: ${reason.replace(/\.$/, '')}`;
      const message = `The generator ${generator} is ${state}${why}.`;
      published?.open(key, toAlert(null, { code: 'generator_unavailable', message }));
    },
    outboxOverflowed() {
      const message = 'The core takes no results; the oldest are dropped.';
      if (!overflowed) published?.open(OUTBOX_KEY, toAlert(null, { code: 'outbox_overflow', message }));
      overflowed = true;
    },
    outboxEmptied() {
      published?.settle(OUTBOX_KEY);
      overflowed = false;
    },
  };
}

const OUTBOX_KEY = 'outbox';

/** A message as bytes. */
export function toMessage<M extends { readonly type: string }>(message: M): OutgoingMessage {
  return { type: message.type, bytes: Buffer.from(JSON.stringify(message)) };
}

function requestKey(requestId: string | null): string {
  return `request ${requestId}`;
}
