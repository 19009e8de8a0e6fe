import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { configSchema } from '../../src/config/schema.ts';
import { systemClock } from '../../src/render/clock.ts';
import type { Logger } from '../../src/render/logger.ts';
import type { LoggedEvent } from '../../src/render/records.ts';
import type { BusCount, BusRenderer } from '../../src/transports/bus-door.ts';
import type { BusTransport, BusTransportOptions } from '../../src/transports/bus-transport.ts';
import { createBusTransport } from '../../src/transports/bus-transport.ts';
import type { CorePeer } from '../fakes/core-peer.ts';
import { startCorePeer } from '../fakes/core-peer.ts';

const cleanup: (() => Promise<void>)[] = [];

/** Undoes something after the test, the latest first. */
export function defer(close: () => Promise<void>): void {
  cleanup.push(close);
}

/** To be called after each test. */
export async function closeAll(): Promise<void> {
  for (const close of cleanup.splice(0).reverse()) await close();
}

/** A core of renders that journals at once and draws when the test says so, or at once. */
export function scriptedRenderer(options: { drawAtOnce?: boolean } = {}) {
  const listeners = new Set<(event: LoggedEvent) => void>();
  const renders = new Map<string, LoggedEvent[]>();
  const calls: Parameters<BusRenderer['submit']>[0][] = [];
  const places: object[] = [];
  let notifyCall = () => {};
  let seq = 0;

  function emit(event: object, door: LoggedEvent['door'] = 'bus'): LoggedEvent {
    const logged = {
      owner: door,
      door,
      event: { seq: ++seq, time: '2026-11-22T06:00:00.000Z', ...event },
    } as LoggedEvent;
    for (const listener of listeners) listener(logged);
    return logged;
  }
  function draw(requestId: string, door: LoggedEvent['door'] = 'bus', changes: object = {}): void {
    const logged = emit({ ...imageEvent(requestId), ...changes }, door);
    renders.set(requestId, [logged]);
  }

  let submit = async (call: Parameters<BusRenderer['submit']>[0]): ReturnType<BusRenderer['submit']> => {
    const id = call.request.request_id ?? '';
    const known = renders.get(id);
    if (known !== undefined) return { kind: 'known', replay: known };
    renders.set(id, []);
    if (options.drawAtOnce !== false) queueMicrotask(() => draw(id));
    return { kind: 'accepted', replay: [] };
  };
  let readImage: NonNullable<BusRenderer['readImage']> = async (_, format) => Buffer.from(`a ${format}`);
  return {
    calls,
    places,
    emit,
    draw,
    listeners,
    set onRead(handler: typeof readImage) {
      readImage = handler;
    },
    set onCall(notify: () => void) {
      notifyCall = notify;
    },
    set onSubmit(handler: typeof submit) {
      submit = handler;
    },
    renders: {
      submit(call) {
        calls.push(call);
        notifyCall();
        return submit(call);
      },
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      async supersedeStale(call) {
        places.push(call);
        notifyCall();
        return 2;
      },
      readImage: (imageId, format) => readImage(imageId, format),
    } satisfies BusRenderer,
  };
}

/** An `ImageReady` as the core of renders tells it, before its number. */
export function imageEvent(requestId: string) {
  return {
    type: 'ImageReady',
    render_id: `R-${requestId}`,
    request_id: requestId,
    uri: `file:///images/${encodeURIComponent(requestId)}.jpg`,
    prompt: 'a prompt',
    era: 'wilderness',
    biome: 'desert',
    image_id: 'a'.repeat(64),
    url: '/v1/images/x',
    width: 8,
    height: 8,
    format: 'jpeg',
    seed: 1,
    generator: 'mock',
    index: 0,
    of: 1,
    cached: false,
    timings: { queued_ms: 0, render_ms: 0, store_ms: 0 },
  };
}

/** A core, closed after the test. */
export async function startPeer(at?: Parameters<typeof startCorePeer>[0]): Promise<CorePeer> {
  const peer = await startCorePeer(at);
  defer(() => peer.close());
  return peer;
}

/** The transport before a scripted renderer; closed after the test. */
export async function startTransport(
  { requests, results, events }: { requests?: string; results?: string; events?: string },
  renderer = scriptedRenderer(),
  bus: object = {},
  parts: Partial<Pick<BusTransportOptions, 'clock' | 'recentEvents'>> = {},
) {
  const at = {
    requests: requests ?? (await nowhere()),
    results: results ?? (await nowhere()),
    events: events ?? (await nowhere()),
  };
  const counts: string[] = [];
  const lines: string[] = [];
  const logged: object[] = [];
  const changed = new Set<() => void>();
  const notify = () => {
    for (const listener of changed) listener();
  };
  renderer.onCall = notify;
  const note = (level: string) => (about: object, message: string) => {
    logged.push(about);
    lines.push(`${level} ${message}`);
    notify();
  };
  const log: Logger = { error: note('error'), warn: note('warn'), info: note('info'), debug: note('debug') };
  const transport = createBusTransport({
    config: configSchema.parse({ bus: { ...at, ...bus } }).bus,
    renders: renderer.renders,
    clock: systemClock,
    ...parts,
    onChange: notify,
    log,
    onMessage({ direction, type, outcome }: BusCount) {
      counts.push(`${direction} ${type} ${outcome}`);
      notify();
    },
  });
  defer(() => transport.close());
  await transport.start();
  /** Resolves once the condition holds; looks again at every log line, message and call. */
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!holds()) return;
        changed.delete(look);
        resolve();
      };
      changed.add(look);
      look();
    });
  return { transport, renderer, counts, lines, logged, until };
}

/** Whether the transport says so. */
export const isUp = (transport: BusTransport) => () => transport.status().state === 'up';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** An address where nobody is. */
export async function nowhere(): Promise<string> {
  return `tcp://127.0.0.1:${await freePort()}`;
}

/** Addresses of a core that is not there. */
export async function freeAddresses() {
  return { requests: `tcp://127.0.0.1:${await freePort()}`, results: `tcp://127.0.0.1:${await freePort()}` };
}
