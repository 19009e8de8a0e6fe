import { tmpdir } from 'node:os';
import { buffer } from 'node:stream/consumers';
import packageJson from '../package.json' with { type: 'json' };
import { isLoopback } from './config/loopback.ts';
import type { Config } from './config/schema.ts';
import type { Secrets } from './config/secrets.ts';
import { AppError } from './errors.ts';
import { chooseGenerator } from './generators/aliases.ts';
import type { ImageGenerator } from './generators/generator.ts';
import { createGenerators } from './generators/index.ts';
import { projectRules } from './messages/projects.ts';
import { createDiskWatch } from './observe/disk-watch.ts';
import { createHealth } from './observe/health.ts';
import { createHealthFile } from './observe/health-file.ts';
import type { Log } from './observe/log.ts';
import { createMetrics } from './observe/metrics.ts';
import { createRefusalWatch } from './observe/refused-connections.ts';
import { createRenderLog } from './observe/render-log.ts';
import type { Clock } from './render/clock.ts';
import { createSteadyTime, systemClock } from './render/clock.ts';
import { createGeneratorStates } from './render/generator-states.ts';
import { createHub } from './render/hub.ts';
import { createLeftJobs } from './render/left-jobs.ts';
import { createLinks } from './render/links.ts';
import { createQueueTimeouts } from './render/queue-timeouts.ts';
import { createRetention } from './render/retention.ts';
import { createRunner } from './render/runner.ts';
import type { RenderService } from './render/service.ts';
import { createRenderService } from './render/service.ts';
import { openSqliteJournal } from './render/sqlite/journal.ts';
import { createStorageGate } from './render/storage-gate.ts';
import { createStrayInputs } from './render/stray-inputs.ts';
import { createWorkNotes } from './render/work-notes.ts';
import { createImages } from './store/convert.ts';
import { freeBytes } from './store/disk-space.ts';
import { createFileImageStore } from './store/file-image-store.ts';
import { createInputReader } from './store/inputs.ts';
import { createBusTransport } from './transports/bus-transport.ts';
import { addEventRoutes, createEventStream } from './transports/events.ts';
import type { HttpServer } from './transports/http/server.ts';
import { createHttpServer, listen } from './transports/http/server.ts';
import { addOperationsRoutes } from './transports/operations.ts';
import { addRestRoutes } from './transports/rest.ts';

/** Name and version, as the server gives them on the wire. */
export const SERVER = `experimance-image-server/${packageJson.version}`;

/** Most pixels, and most bytes, of an image in a folder of the operator's: 2^28. */
const OPERATORS_LIMIT = 2 ** 28;

const DAY_MS = 86_400_000;

/** How far back the bus looks for what may not have left the last process. */
const RECENT_EVENTS = 500;

/** What a test may put in the place of a part; by default the real ones. */
export interface Overrides {
  readonly clock?: Clock;
  /** By name; each takes the place of the generator of that name, or stands beside it. */
  readonly generators?: ReadonlyMap<string, ImageGenerator>;
}

/** Options of `startImageServer`. */
export interface ImageServerOptions {
  readonly config: Config;
  /** Keys of providers; a generator without its key is disabled. */
  readonly secrets?: Secrets;
  readonly log: Log;
  /** As in `v24.11.0`. */
  readonly nodeVersion: string;
  /** Hears of an error after which the server cannot go on; it must then be stopped. */
  onFatal(error: AppError): void;
  readonly overrides?: Overrides;
}

/** The running server. */
export interface ImageServerService {
  /** Where it answers HTTP, as in `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly renders: RenderService;
  readonly http: HttpServer;
  /** Stops taking renders, gives running ones `[http] drain_s`, and closes every part. */
  stop(): Promise<void>;
  /** Tells the bus that the process ends of an error; nothing else is waited for, since the journal is whole at any time. */
  crash(): Promise<void>;
}

/**
 * Builds the parts and starts them. Throws `config_invalid`, `data_dir_in_use`, `journal_unreadable`, `port_in_use`
 * or `storage_failed` when it cannot; then nothing is left running.
 */
export async function startImageServer(options: ImageServerOptions): Promise<ImageServerService> {
  await using parts = new AsyncDisposableStack();
  const { config, log, onFatal } = options;
  const clock = options.overrides?.clock ?? systemClock;
  const images = createImages({ maxPixels: config.inputs.max_pixels, maxBytes: config.inputs.max_bytes });
  const store = await openStore(config);
  const onRestored = () => log.error({}, 'somebody deleted the journal; it was written anew, with everything in it');
  const journal = parts.adopt(await openSqliteJournal({ dir: config.data_dir, onFatal, onRestored }), (opened) =>
    opened.close(),
  );

  const links = createLinks({
    publicUrl: config.http.public_url,
    pathOf: store.pathOf,
    showPaths: isLoopback(config.http.host),
  });
  const hub = createHub({
    journal,
    links,
    onListenerError: (error) => log.error({ err: error }, 'a listener to events failed'),
  });
  hub.subscribe(createRenderLog(log));

  // What the operator put into a folder may be larger than what callers may send.
  const drawing = createImages({ maxPixels: OPERATORS_LIMIT, maxBytes: OPERATORS_LIMIT });
  const generators = createGenerators(
    {
      config,
      secrets: options.secrets ?? {},
      drawing,
      clock,
      log,
      observeUpstream: (seen) => metrics.onUpstream(seen),
      observeStep: (seconds) => metrics.onSdxlStep(seconds),
      onHealth: (name) => states.look(name),
    },
    options.overrides?.generators,
  );
  const states = createGeneratorStates({
    ...{ generators, journal, clock, log, onFatal },
    wake: (name) => runner.wake(name),
  });
  parts.defer(() => closeAll([...generators.values()].map(({ generator }) => generator)));
  const lastUse = await journal.latestTime({});
  const steadyNow = createSteadyTime(clock, lastUse);
  const timeouts = createQueueTimeouts({ journal, clock, steadyNow, log });
  parts.defer(timeouts.stop);
  const notes = createWorkNotes({ journal, store, clock, steadyNow, log });
  const storage = createStorageGate({ probe: store.probe, onOpen: () => runner.wakeAll(), clock, log });
  parts.defer(storage.stop);
  const runner = createRunner({
    generators,
    fallback: config.generator.fallback.map(chooseGenerator),
    retries: config.generator.retries,
    onState: (name, health) => void states.note(name, health),
    onPassed: () => void timeouts.look(),
    ...{ journal, store, storage, images, notes, hub, clock, steadyNow, log },
  });
  const leftJobs = createLeftJobs({ journal, hub, generators, clock, log });
  parts.defer(leftJobs.stop);
  const inputs = createInputReader({
    images,
    store,
    maxBytes: config.inputs.max_bytes,
    fileRoots: config.inputs.file_roots ?? [tmpdir(), config.cache_dir],
  });
  const renders = createRenderService({
    journal,
    hub,
    runner,
    timeouts,
    acceptInput: inputs.accept,
    generators,
    defaultGenerator: config.generator.strategy,
    chooseGenerator,
    project: projectRules(config.bus),
    busFormat: config.bus.output_format,
    maxQueued: config.queue.max_length,
    queueTimeoutMs: config.generator.queue_timeout_s * 1000,
    shareUnseeded: config.cache.share_unseeded,
    store,
    storage,
    links,
    clock,
    steadyNow,
    log,
  });

  const disks = createDiskWatch({
    folders: { cache: config.cache_dir, data: config.data_dir },
    freeBytes,
    warnBytes: config.health.warn_free_mb * 2 ** 20,
    clock,
    log,
    onChange: () => healthFile?.refresh(),
  });
  parts.defer(disks.stop);
  const metrics = createMetrics({
    generators: [...generators.keys()],
    queueStats: () => journal.queueStats({}),
    tokensOf: runner.tokensOf,
    circuitOf: (name) => runner.breakerOf(name)?.state ?? 'closed',
    storeUsage: () => journal.storeUsage({}),
    diskFree: disks.free,
    onTrouble: (error) => log.error({ err: error }, 'the journal could not be asked for metrics'),
    lastSeq: () => journal.lastSeq,
    subscribers: () => ({ websocket: stream.clients }),
    steadyNow,
    version: packageJson.version,
    nodeVersion: options.nodeVersion,
  });
  hub.subscribe(metrics.onEvent);
  const stream = createEventStream({
    renders,
    clock,
    log,
    server: SERVER,
    onDrop: (kind) => metrics.onSubscriberDrop('websocket', kind),
    onClose: metrics.onSubscriberClose,
  });
  const retention = createRetention({
    journal,
    store,
    maxBytes: config.max_cache_size_gb * 2 ** 30,
    pinMs: config.cache.pin_s * 1000,
    keepMs: config.journal.keep_days * DAY_MS,
    maxAgeMs: config.cache.max_age_days === undefined ? undefined : config.cache.max_age_days * DAY_MS,
    ...{ clock, steadyNow, lastUse, log },
    onEvicted: metrics.onEvicted,
  });
  const healthFile =
    config.health.file === undefined
      ? undefined
      : createHealthFile({
          path: config.health.file,
          report: () => health.report(),
          tasks: async () =>
            (await journal.queueStats({})).reduce((sum, { queued, running }) => sum + queued + running, 0),
          clock,
          log,
        });
  parts.defer(() => healthFile?.close());
  hub.subscribe((event) => healthFile?.onEvent(event));
  const bus = config.bus.enabled
    ? createBusTransport({
        config: config.bus,
        renders: {
          submit: renders.submit,
          subscribe: renders.subscribe,
          supersedeStale: renders.supersedeStale,
          async readImage(imageId, format) {
            await renders.image(imageId);
            return await buffer((await store.open(imageId, format)).stream);
          },
        },
        clock,
        log,
        onMessage(message) {
          metrics.onBusMessage(message);
          healthFile?.onBusMessage(message);
        },
        onChange: () => healthFile?.refresh(),
        recentEvents: async (sinceMs) => {
          const lately = await journal.eventsAfter({ since: journal.lastSeq - RECENT_EVENTS, limit: RECENT_EVENTS });
          return lately.filter(({ event }) => Date.parse(event.time) >= clock.now() - sinceMs).map(hub.publishable);
        },
      })
    : undefined;
  parts.defer(() => bus?.close());
  const health = createHealth({
    probeJournal: () => journal.probe({ at: clock.now() }),
    probeStore: storage.admit,
    draining: () => renders.draining,
    disks: disks.parts,
    paused: () => journal.isPaused({}),
    generators: () => states.used.map((name) => [name, runner.healthOf(name)] as const),
    bus: () => bus?.status(),
    clock,
    version: packageJson.version,
  });

  const http = await createHttpServer({
    config: config.http,
    log,
    version: packageJson.version,
    onAnswer: metrics.onHttp,
    onRefused: createRefusalWatch({ count: metrics.onRefused, clock, log }),
    closeSockets: () => stream.close(),
  });
  parts.defer(() => http.close());
  addRestRoutes(http, { renders, store, config: config.http });
  addEventRoutes(http, stream);
  addOperationsRoutes(http, { health, metrics });

  const adopted = await notes.adopt();
  const recovered = await journal.recover({
    crashAttempts: config.generator.crash_attempts,
    generators: [...generators.keys()],
    at: clock.now(),
    steadyAt: steadyNow(),
  });
  if (adopted + recovered.requeued + recovered.failed > 0) {
    log.warn({ ...recovered, adopted }, 'renders were running when the server last died');
  }
  links.base = await listen(http, config.http);
  await bus?.start();
  parts.defer(retention.start());
  parts.defer(createStrayInputs({ journal, store, clock, log }).start());
  void timeouts.look();
  await disks.start();
  await healthFile?.start();
  states.startAll();
  leftJobs.start();
  log.info({ url: links.base, data_dir: config.data_dir, cache_dir: config.cache_dir }, 'the server is ready');

  const running = parts.move();
  return {
    url: links.base,
    renders,
    http,
    crash: async () => await bus?.crash(),
    async stop() {
      await bus?.stopReceiving();
      await renders.drain(config.http.drain_s * 1000);
      await running.disposeAsync();
      log.info({}, 'the server has stopped');
    },
  };
}

/** A folder that cannot be written at the start is a wrong setting; later it is trouble that may pass. */
async function openStore({ cache_dir }: Config) {
  try {
    return await createFileImageStore({ dir: cache_dir });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'storage_failed') throw error;
    throw new AppError('config_invalid', `cache_dir = "${cache_dir}": this folder cannot be written`, { cause: error });
  }
}

async function closeAll(generators: readonly ImageGenerator[]): Promise<void> {
  await Promise.all(generators.map((generator) => generator.close()));
}
