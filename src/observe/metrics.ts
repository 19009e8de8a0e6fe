import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { EVENT_TYPES } from '../messages/events.ts';
import type { AttemptOutcome } from '../messages/outputs.ts';
import { cacheUse } from '../messages/outputs.ts';
import type { BreakerState } from '../render/breaker.ts';
import type { PublishedEvent } from '../render/hub.ts';
import type { QueueStats, StoreUsage } from '../render/records.ts';

const PREFIX = 'image_server_';

/** Renders last from milliseconds (mock) to minutes (a model on a processor). */
const RENDER_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];
/** Outcomes of attempts that took as long as they take; the others say when somebody lost patience. */
const MEASURED: ReadonlySet<AttemptOutcome> = new Set(['succeeded', 'failed', 'timeout']);
/** Looks last a moment; a server that draws while it answers takes as long as a render. */
/** A step takes milliseconds (a GPU, a small image) to minutes (a processor, a large one). */
const STEP_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const UPSTREAM_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const CIRCUIT = { closed: 0, half_open: 0.5, open: 1 } as const satisfies Record<BreakerState, number>;
const HTTP_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

/** Where the gauges look when they are scraped. */
export interface MetricSources {
  readonly generators: readonly string[];
  queueStats(): Promise<readonly QueueStats[]>;
  circuitOf(generator: string): BreakerState;
  /** Works that a generator may be given at once; infinite without a limit. */
  tokensOf(generator: string): number;
  lastSeq(): number;
  storeUsage(): Promise<StoreUsage>;
  /** Bytes left on each disk that could be seen, by what it holds. */
  diskFree(): Iterable<readonly [string, number]>;
  /** Open connections by transport. */
  subscribers(): Readonly<Record<string, number>>;
  /** Hears why the queues could not be looked at. */
  onTrouble(error: unknown): void;
  /** Ms since 1970 by the clock that never jumps. */
  steadyNow(): number;
  readonly version: string;
  readonly nodeVersion: string;
}

/** The server's metrics. Labels are bounded: generators, codes and route templates, never a caller's words. */
export interface Metrics {
  /** Counts an event of the log. */
  onEvent(event: PublishedEvent): void;
  onHttp(request: { method: string; route: string; status: number; seconds: number }): void;
  /** Counts a connection for which there was no room. */
  onRefused(): void;
  onBusMessage(message: { direction: string; type: string; outcome: string }): void;
  /** Counts a request to a provider. */
  onUpstream(request: { generator: string; outcome: string; seconds: number }): void;
  /** Measures a step of SDXL on this machine. */
  onSdxlStep(seconds: number): void;
  onEvicted(file: { kind: 'image' | 'input' }): void;
  onSubscriberDrop(transport: string, kind: string): void;
  onSubscriberClose(reason: string): void;
  /** The exposition and its content type. */
  scrape(): Promise<{ contentType: string; text: string }>;
}

/** Creates the metrics on a registry of their own. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const about = (name: string, help: string) => ({ name: `${PREFIX}${name}`, help, registers: [registry] });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ ...about(name, help), labelNames: [...labelNames] });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
    new Histogram({ ...about(name, help), labelNames: [...labelNames], buckets });

  const renders = counter('renders_total', 'Renders that are over, by final status', ['generator', 'status']);
  const duration = histogram(
    'render_duration_seconds',
    'Time from claim to end of attempts that were not cut short',
    ['generator'],
    RENDER_SECONDS,
  );
  const wait = histogram('queue_wait_seconds', 'Time from acceptance to first start', ['generator'], RENDER_SECONDS);
  const attempts = counter('attempts_total', 'Attempts that ended, by outcome', ['generator', 'outcome']);
  const cost = counter('upstream_cost_usd_total', 'What providers charged, in USD, as far as they say', ['generator']);
  const fallbacks = counter('fallbacks_total', 'Works that another generator took over', ['from', 'to']);
  const cache = counter('cache_requests_total', 'Accepted renders, by what the cache did for them', ['outcome']);
  const events = counter('events_total', 'Events of the log', ['type']);
  const evictions = counter('evictions_total', 'Files that the image store gave up', ['kind']);
  const drops = counter('subscriber_drops_total', 'Messages that a slow subscriber missed', ['transport', 'kind']);
  const closes = counter('subscriber_closes_total', 'Event connections that ended, by reason', ['reason']);
  const bus = counter('bus_messages_total', 'Messages of the bus', ['direction', 'type', 'outcome']);
  const http = histogram(
    'http_request_duration_seconds',
    'Time to answer HTTP requests',
    ['method', 'route', 'status'],
    HTTP_SECONDS,
  );
  const refused = counter('http_connections_refused_total', 'Connections for which there was no room', []);
  const upstream = counter('upstream_requests_total', 'Requests to providers, by outcome', ['generator', 'outcome']);
  const sdxlStep = histogram('sdxl_step_duration_seconds', 'Time of one step of the local model', [], STEP_SECONDS);
  const upstreamSeconds = histogram(
    'upstream_duration_seconds',
    'Time from the begin of a request to a provider to the end of its answer',
    ['generator'],
    UPSTREAM_SECONDS,
  );
  for (const type of EVENT_TYPES) events.inc({ type }, 0);
  for (const outcome of cacheUse.options) cache.inc({ outcome }, 0);
  for (const generator of sources.generators) {
    for (const status of ['succeeded', 'failed', 'cancelled']) renders.inc({ generator, status }, 0);
  }
  addGauges(about, sources);

  return {
    onEvent({ event }) {
      events.inc({ type: event.type });
      switch (event.type) {
        case 'ImageReady':
          if (event.index < event.of - 1) return;
          renders.inc({ generator: event.generator, status: 'succeeded' });
          return;
        case 'RenderQueued':
          if (event.cache !== undefined) cache.inc({ outcome: event.cache });
          return;
        case 'RenderStarted':
          if (event.attempt === 1) wait.observe({ generator: event.generator }, event.queued_ms / 1000);
          return;
        case 'RenderFailed':
          renders.inc({ generator: event.generator, status: 'failed' });
          return;
        case 'RenderCancelled':
          renders.inc({ generator: event.generator, status: 'cancelled' });
          return;
        case 'CostKnown':
          cost.inc({ generator: event.generator }, event.cost_usd);
          return;
        case 'AttemptEnded':
          if (event.cost_usd !== undefined) cost.inc({ generator: event.generator }, event.cost_usd);
          attempts.inc({ generator: event.generator, outcome: event.outcome });
          if (event.fallback_to !== undefined) fallbacks.inc({ from: event.generator, to: event.fallback_to });
          if (MEASURED.has(event.outcome)) duration.observe({ generator: event.generator }, event.duration_ms / 1000);
      }
    },
    onHttp: ({ method, route, status, seconds }) => http.observe({ method, route, status: String(status) }, seconds),
    onRefused: () => refused.inc(),
    onBusMessage: (labels) => bus.inc(labels),
    onSdxlStep: (seconds) => sdxlStep.observe(seconds),
    onUpstream({ generator, outcome, seconds }) {
      upstream.inc({ generator, outcome });
      upstreamSeconds.observe({ generator }, seconds);
    },
    onEvicted: ({ kind }) => evictions.inc({ kind }),
    onSubscriberDrop: (transport, kind) => drops.inc({ transport, kind }),
    onSubscriberClose: (reason) => closes.inc({ reason }),
    scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

type About = (name: string, help: string) => { name: string; help: string; registers: Registry[] };

function addGauges(about: About, sources: MetricSources): void {
  const lookAtQueues = shared(sources.queueStats, sources.onTrouble);
  const lookAtStore = shared(sources.storeUsage, sources.onTrouble);
  const ofStore = (name: string, help: string, read: (usage: StoreUsage) => number) => {
    const gauge: Gauge = new Gauge({
      ...about(name, help),
      async collect() {
        const usage = await lookAtStore();
        if (usage === undefined) gauge.reset();
        else gauge.set(read(usage));
      },
    });
  };
  ofStore('cache_bytes', 'Bytes of images and inputs that are kept', ({ bytes }) => bytes);
  ofStore('cache_images', 'Images and inputs that are kept', ({ files }) => files);
  const diskFree: Gauge<'dir'> = new Gauge({
    ...about('disk_free_bytes', 'Bytes left on the disks of cache_dir and data_dir'),
    labelNames: ['dir'],
    collect() {
      diskFree.reset();
      for (const [dir, bytes] of sources.diskFree()) diskFree.set({ dir }, bytes);
    },
  });
  const perGenerator = (name: string, help: string, read: (stats: QueueStats | undefined) => number) => {
    const gauge: Gauge<'generator'> = new Gauge({
      ...about(name, help),
      labelNames: ['generator'],
      async collect() {
        const queues = await lookAtQueues();
        if (queues === undefined) {
          gauge.reset();
          return;
        }
        for (const generator of sources.generators) {
          gauge.set({ generator }, read(queues.find((stats) => stats.generator === generator)));
        }
      },
    });
  };
  perGenerator('queue_depth', 'Works that wait', (stats) => stats?.queued ?? 0);
  perGenerator('renders_running', 'Works that run', (stats) => stats?.running ?? 0);
  perGenerator('queue_oldest_seconds', 'Age of the oldest work that waits', (stats) =>
    stats?.oldestAt === undefined ? 0 : Math.max(0, sources.steadyNow() - stats.oldestAt) / 1000,
  );
  const tokens = new Gauge({
    ...about('upstream_limiter_tokens', 'Works that a rate limit lets begin at once; +Inf without a limit'),
    labelNames: ['generator'],
    collect() {
      for (const generator of sources.generators) tokens.set({ generator }, sources.tokensOf(generator));
    },
  });
  const circuit = new Gauge({
    ...about('circuit_state', 'Circuit breakers: 0 closed, 0.5 half open, 1 open'),
    labelNames: ['generator'],
    collect() {
      for (const generator of sources.generators) circuit.set({ generator }, CIRCUIT[sources.circuitOf(generator)]);
    },
  });
  const seq: Gauge = new Gauge({
    ...about('event_seq', 'Number of the newest event'),
    collect() {
      seq.set(sources.lastSeq());
    },
  });
  const subscribers = new Gauge({
    ...about('subscribers', 'Open event connections'),
    labelNames: ['transport'],
    collect() {
      for (const [transport, count] of Object.entries(sources.subscribers())) subscribers.set({ transport }, count);
    },
  });
  new Gauge({ ...about('build_info', 'What runs here'), labelNames: ['version', 'node'] }).set(
    { version: sources.version, node: sources.nodeVersion },
    1,
  );
}

/** One look for all gauges of a scrape. A journal in trouble must not hide the other metrics: they are needed then. */
function shared<T>(ask: () => Promise<T>, onTrouble: (error: unknown) => void): () => Promise<T | undefined> {
  let look: Promise<T | undefined> | undefined;
  return () => {
    look ??= ask()
      .catch((error: unknown) => {
        onTrouble(error);
        return undefined;
      })
      .finally(() => {
        look = undefined;
      });
    return look;
  };
}
