import type { Config } from '../config/schema.ts';
import type { Alert, Heartbeat } from '../messages/bus.ts';
import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { BusCount } from './bus-door.ts';
import { toMessage } from './bus-exits.ts';
import { createLink, hasCode } from './bus-link.ts';
import type { Framing } from './bus-messages.ts';
import type { Outbox, OutboxOptions } from './bus-outbox.ts';
import { createOutbox } from './bus-outbox.ts';
import type { BusPublisher } from './bus-publisher.ts';
import { createBusPublisher } from './bus-publisher.ts';
import type { OutgoingMessage, ReplayRules } from './bus-replay.ts';
import type { Intake } from './zeromq.ts';
import { eventSocket, publishSocket, requestSocket, resultSocket } from './zeromq.ts';

/** Something that is read from, and how its messages are framed. */
export interface BusIntake {
  readonly socket: Intake;
  readonly framing: Framing;
}

/** The sockets of a layout, and what stands in front of them. */
export interface BusLayout {
  readonly intakes: readonly BusIntake[];
  /** In front of where results go. */
  readonly outbox: Outbox;
  readonly replay: ReplayRules;
  /** Present when this server publishes. */
  readonly publisher: { say(message: Alert | Heartbeat): void } | undefined;
  readonly addresses: Readonly<Record<string, string>>;
  /** For the log: whose work is taken. */
  readonly sentence: string;
  /** Connects and binds. Throws `config_invalid` or `port_in_use`. */
  open(): Promise<void>;
  /** Who is not there, in words; undefined when everybody is. */
  away(): string | undefined;
  /** Lets go of what messages leave by. */
  close(): void;
}

/** What a layout needs of its surroundings. */
export interface BusLayoutOptions {
  readonly config: Config['bus'];
  readonly clock: Clock;
  readonly log: Logger;
  readonly count: (message: BusCount) => void;
  onChange(): void;
  /** The outbox was full. */
  onDropped(): void;
}

/** Fire's core gives up on a request after this, and takes an image that is late by less. */
const OTHERS_REPLAY_MS = 25_000;

/** The sockets of `[bus] layout`. */
export function createBusLayout(options: BusLayoutOptions): BusLayout {
  const { project, replay_max_age_s, layout } = options.config;
  const replay =
    project === 'experimance'
      ? { maxAgeMs: replay_max_age_s * 1000, newestOfPlace: true }
      : { maxAgeMs: OTHERS_REPLAY_MS, newestOfPlace: false };
  return layout === 'worker' ? workerLayout(options, replay) : pubsubLayout(options, replay);
}

/** Both sockets connect: PULL to the core's requests, PUSH to where it takes results. */
function workerLayout(options: BusLayoutOptions, replay: ReplayRules): BusLayout {
  const { config, clock, log, onChange } = options;
  const requests = requestSocket();
  const results = resultSocket();
  const events = eventSocket(['SpaceTimeUpdate']);
  const publisher = ['publish', 'both'].includes(config.alerts) ? createPublisher(options) : undefined;
  const outbox = createOutbox({
    ...outboxOptions(options, replay),
    async send({ bytes }) {
      try {
        await results.send(bytes);
        return 'sent';
      } catch (error) {
        if (hasCode(error, 'EAGAIN')) return 'busy';
        throw error;
      }
    },
  });
  let asksSince: number | undefined;
  let takesResults = false;
  let wentAt = Number.NEGATIVE_INFINITY;
  const links = [
    createLink({
      key: 'requests',
      address: config.requests,
      socket: requests,
      log,
      onChange(connected) {
        asksSince = connected ? clock.elapsed() : undefined;
        onChange();
      },
    }),
    createLink({
      key: 'results',
      address: config.results,
      socket: results,
      log,
      onChange(connected) {
        if (takesResults) wentAt = clock.elapsed();
        takesResults = connected;
        // The two are met one after the other: what it asked between is no news of before it went.
        if (connected) outbox.resume(asksSince !== undefined && asksSince > wentAt ? asksSince : undefined);
        else outbox.pause();
        onChange();
      },
    }),
  ];
  const hearing = createLink({ key: 'events', address: config.events, socket: events, log, optional: true });

  return {
    intakes: [
      { socket: requests, framing: 'direct' },
      { socket: events, framing: 'published' },
    ],
    outbox,
    replay,
    publisher: publisher && sayer(publisher, options),
    addresses: { requests: config.requests, results: config.results },
    sentence:
      `Taking the work of the ${config.project} core at ${config.requests}, with results to ${config.results}. ` +
      'No other image server may be connected there: each would get a part of the work',
    async open() {
      await publisher?.open();
      for (const link of [...links, hearing]) link.open();
    },
    away() {
      const missing = links.filter(({ connected }) => !connected).map(({ address }) => address);
      return missing.length === 0 ? undefined : `no core at ${missing.join(' and ')}`;
    },
    close() {
      results.close();
      publisher?.close();
    },
  };
}

/** SUB connects to what the core publishes, its requests among it; images are published here. */
function pubsubLayout(options: BusLayoutOptions, replay: ReplayRules): BusLayout {
  const { config, log, onChange } = options;
  // Every topic: Experimance's versions of that time had several for the same message.
  const events = eventSocket(['']);
  const publisher = createPublisher(options, () => {
    if (publisher.isHeard('ImageReady')) outbox.resume();
    else outbox.pause();
    onChange();
  });
  const outbox = createOutbox({
    ...outboxOptions(options, replay),
    async send(message) {
      const outcome = await publisher.send(message);
      if (outcome === 'unheard') return 'busy';
      if (outcome === 'stalled') options.count({ direction: 'out', type: message.type, outcome });
      return 'sent';
    },
  });
  const link = createLink({ key: 'events', address: config.events, socket: events, log, onChange });

  return {
    intakes: [{ socket: events, framing: 'published' }],
    outbox,
    replay,
    publisher: sayer(publisher, options),
    addresses: { events: config.events, images: config.images },
    sentence:
      `Taking the work of the ${config.project} core that publishes at ${config.events}; images are published at ` +
      `${config.images}. No other image server may listen there: each would do all of the work`,
    async open() {
      await publisher.open();
      link.open();
    },
    away() {
      if (!link.connected) return `no core at ${config.events}`;
      return publisher.isHeard('ImageReady') ? undefined : `nobody listens for images at ${config.images}`;
    },
    close: publisher.close,
  };
}

function createPublisher({ config, log }: BusLayoutOptions, onSubscribers?: () => void): BusPublisher {
  const socket = publishSocket();
  return createBusPublisher({
    address: config.images,
    socket,
    log,
    ...(onSubscribers === undefined ? {} : { onSubscribers }),
  });
}

/** Publishes what need not wait for readers, and counts what became of it. */
function sayer(publisher: BusPublisher, { count, log }: BusLayoutOptions) {
  return {
    say(message: Alert | Heartbeat): void {
      const { type } = message;
      publisher.send(toMessage(message)).then(
        (outcome) => count({ direction: 'out', type, outcome }),
        (err: unknown) => {
          count({ direction: 'out', type, outcome: 'failed' });
          log.warn({ err, type }, 'A message could not be published');
        },
      );
    },
  };
}

function outboxOptions(options: BusLayoutOptions, replay: ReplayRules): Omit<OutboxOptions, 'send'> {
  const { config, clock, log, count } = options;
  return {
    maxMessages: config.outbox,
    replay,
    clock,
    onEnd({ type }: OutgoingMessage, outcome, err) {
      count({ direction: 'out', type, outcome });
      if (outcome === 'sent' || outcome === 'resent') return;
      log.warn({ type, outcome, err }, 'A bus message was not sent');
      if (outcome === 'dropped') options.onDropped();
    },
  };
}
