import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { projectRules } from '../messages/projects.ts';
import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { LoggedEvent } from '../render/records.ts';
import { createOpenAlerts } from './bus-alerts.ts';
import type { BusCount, BusRenderer } from './bus-door.ts';
import { createBusDoor } from './bus-door.ts';
import { createBusExits } from './bus-exits.ts';
import { createHeartbeats } from './bus-heartbeats.ts';
import { createBusLayout } from './bus-layout.ts';
import { toAlert } from './bus-messages.ts';
import { createBusPaths } from './bus-paths.ts';
import { createBusReader } from './bus-reader.ts';
import { LINGER_MS } from './zeromq.ts';

/** How the bus is: `waiting` while the core is away, and the reason for whatever is not `up`. */
export interface BusStatus {
  readonly state: 'up' | 'waiting' | 'down';
  readonly reason?: string;
  /** Messages that wait for the core. */
  readonly outbox: number;
}

/** The Experimance bus as a transport. Its sockets must stay on the main thread. */
export interface BusTransport {
  /** Throws `config_invalid` when an address is none, `port_in_use` naming it. A core that is away is waited for. */
  start(): Promise<void>;
  status(): BusStatus;
  /**
   * Takes what the core has sent so far, for two seconds at most. Resolves when the last request that was read is
   * journalled or refused; results still go out.
   */
  stopReceiving(): Promise<void>;
  /** Sends for half a second at most what is left, and lets go of the sockets. */
  close(): Promise<void>;
  /** Sends an Alert that the process ends of an error, then closes. */
  crash(): Promise<void>;
}

/** Options of `createBusTransport`. */
export interface BusTransportOptions {
  readonly config: Config['bus'];
  readonly renders: BusRenderer;
  readonly clock: Clock;
  readonly log: Logger;
  onMessage?(message: BusCount): void;
  /** Hears that the core came or went. */
  onChange?(): void;
  /** Events of the last seconds before the start, oldest first: what they say may not have left the last process. */
  recentEvents?(sinceMs: number): Promise<readonly LoggedEvent[]>;
}

/** The image server's side of Experimance's bus, in either layout. */
export function createBusTransport(options: BusTransportOptions): BusTransport {
  const { config, renders, clock, log, onMessage: count = () => {} } = options;
  const layout = createBusLayout({
    config,
    clock,
    log,
    count,
    onChange() {
      if (layout.away() === undefined) exits.outboxEmptied();
      options.onChange?.();
    },
    onDropped: () => exits.outboxOverflowed(),
  });
  const { outbox, publisher } = layout;
  const alerts =
    publisher === undefined ? undefined : createOpenAlerts({ clock, publish: (alert) => publisher.say(alert) });
  const exits = createBusExits({ config, put: outbox.put, published: alerts, log, count });
  const door = createBusDoor({
    config,
    rules: projectRules(config),
    renders,
    paths: createBusPaths(config.path_map),
    exits,
    log,
    count,
  });
  const reader = createBusReader({ intakes: layout.intakes, take: door.take, clock, log });
  const heartbeats = config.layout === 'pubsub' ? createHeartbeats({ clock, say: layout.publisher?.say }) : undefined;

  let phase: 'new' | 'running' | 'draining' | 'closed' = 'new';
  // From the beginning: a render of before may end while the server starts.
  let early: LoggedEvent[] | undefined = [];
  const unsubscribe = renders.subscribe((logged) => {
    if (early === undefined) door.publish(logged);
    else early.push(logged);
  });
  let closing: Promise<void> | undefined;

  /** What the last process may not have said, and what has happened since: in order, and nothing twice. */
  async function tellWhatWas(): Promise<void> {
    const recent = (await options.recentEvents?.(layout.replay.maxAgeMs)) ?? [];
    const told = recent.at(-1)?.event.seq ?? 0;
    const since = early?.filter(({ event }) => event.seq > told) ?? [];
    early = undefined;
    for (const logged of [...recent, ...since]) door.publish(logged);
    await door.settled();
  }

  async function stopReceiving(): Promise<void> {
    if (phase !== 'closed') phase = 'draining';
    await reader.rest();
    await reader.close();
  }

  async function close(): Promise<void> {
    heartbeats?.close();
    await atMost(LINGER_MS, reader.close());
    await atMost(LINGER_MS, door.settled().then(outbox.empty));
    phase = 'closed';
    unsubscribe();
    alerts?.close();
    outbox.close();
    layout.close();
  }

  function describe(): Omit<BusStatus, 'outbox'> {
    if (phase !== 'running') return { state: 'down', reason: REASONS[phase] };
    if (reader.failing) return { state: 'down', reason: 'reading from the bus fails' };
    const away = layout.away();
    return away === undefined ? { state: 'up' } : { state: 'waiting', reason: away };
  }

  return {
    async start() {
      // Before a core can ask: these are answers to one of before.
      await tellWhatWas();
      try {
        await layout.open();
      } catch (error) {
        await reader.close();
        layout.close();
        throw error;
      }
      phase = 'running';
      reader.start();
      heartbeats?.start();
      log.info({ project: config.project, layout: config.layout, ...layout.addresses }, layout.sentence);
    },
    status: () => ({ ...describe(), outbox: outbox.size }),
    stopReceiving,
    close: closeOnce,
    async crash() {
      exits.alert(toAlert(null, { code: 'internal', message: LAST_WORDS }));
      await closeOnce();
    },
  };

  function closeOnce(): Promise<void> {
    closing ??= close();
    return closing;
  }
}

const LAST_WORDS =
  'The image server ends of an error that nothing caught. Started again, it goes on with what it had taken.';

const REASONS = { new: 'not started', draining: 'takes no more requests', closed: 'closed' } as const;

async function atMost(ms: number, promise: Promise<void>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([promise, sleep(ms, undefined, { signal: timer.signal })]).finally(() => timer.abort());
}
