import { setTimeout as sleep } from 'node:timers/promises';
import { pythonRenderRequest, startCorePeer } from '../fakes/core-peer.ts';
import { busAddresses } from './children/parts.ts';
import type { Sample, Scenario } from './compare.ts';
import { startSide } from './sides.ts';

/** Requests of one measurement of speed, sent at once. */
const REQUESTS = 60;
/** Requests of one measurement of latency, one every 20 ms. */
const PACED = 200;
const PACE_MS = 20;
/** How long an answer may take: one that is lost must end the measurement, not hold it up for ever. */
const PATIENCE_MS = 30_000;

/** How many requests a second become images over the bus's two sockets, and how long each takes. */
export function busScenario(): Scenario {
  return {
    name: 'bus',
    about:
      'RenderRequest to ImageReady over two sockets, 512×512 placeholders, beside a bare zeromq worker that draws, encodes ' +
      'and writes the same durably; latency at 50 requests/s with 64×64 ones (aim: ratio 0.6, p99 added < 10 ms)',
    ratioOf: 'messages/s',
    addedTo: ['p50 ms', 'p99 ms'],
    async start() {
      const ours = await startSide('bus-ours', load);
      const bare = await startSide('bus-bare', load);
      return {
        ours: ours.measure,
        baseline: bare.measure,
        stop: async () => {
          await ours.stop();
          await bare.stop();
        },
      };
    },
  };
}

let request = 0;

type Core = Awaited<ReturnType<typeof startCorePeer>>;

/** One measurement of the worker that connects to a core in this folder. */
async function load(dir: string): Promise<Sample> {
  const core = await startCorePeer(busAddresses(dir));
  try {
    const started = performance.now();
    await Promise.all(Array.from({ length: REQUESTS }, () => ask(core, 512)));
    const perSecond = (REQUESTS * 1000) / (performance.now() - started);

    const latencies = await Promise.all(Array.from({ length: PACED }, (_, at) => askAfter(at * PACE_MS, core)));
    const sorted = latencies.toSorted((a, b) => a - b);
    const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
    return { 'messages/s': perSecond, 'p50 ms': quantile(0.5), 'p99 ms': quantile(0.99) };
  } finally {
    await core.close();
  }
}

async function askAfter(ms: number, core: Core): Promise<number> {
  await sleep(ms);
  return await ask(core, 64);
}

async function ask(core: Core, side: number): Promise<number> {
  request += 1;
  const request_id = `bench-${request}`;
  const started = performance.now();
  const message = pythonRenderRequest({ request_id, width: side, height: side, seed: request });
  const exchange = Promise.all([core.answerTo(request_id), sending(core, message)]);
  const [{ type }] = await inTime(exchange, `${request_id} has had no answer`);
  if (type !== 'ImageReady') throw new Error(`${request_id} was answered by ${type}: the figures mean nothing`);
  return performance.now() - started;
}

async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const done = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: done.signal }).then(() => {
    throw new Error(`${what} for ${PATIENCE_MS / 1000} s: the figures mean nothing`);
  });
  return await Promise.race([promise, late]).finally(() => done.abort());
}

/** The socket bears one pending send. */
let last: Promise<void> = Promise.resolve();
async function sending(core: Core, text: string): Promise<void> {
  last = last.then(() => core.send(text));
  await last;
}
