import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { OPENAI_KEY } from '../fakes/openai-server.ts';
import { startChild } from './child.ts';
import type { Sample, Scenario } from './compare.ts';

/** What tells an answer of ours, or of the provider, from a failure. */
const answerSchema = z.object({ status: z.string(), data: z.array(z.unknown()) }).partial();
type Answer = z.infer<typeof answerSchema>;

/** Options of `remoteScenario`. */
export interface RemoteOptions {
  /** Of the square images, in pixels. */
  readonly side: number;
  /** Requests that begin in each second, whether or not earlier ones have ended. */
  readonly perSecond: number;
  readonly seconds: number;
  /** What we aim for. */
  readonly aim: string;
}

/** What a request through us takes longer than the same request to the provider. */
export function remoteScenario({ side, perSecond, seconds, aim }: RemoteOptions): Scenario {
  const size = `${side}x${side}`;
  return {
    name: `remote-${side}`,
    about:
      `POST /v1/renders with Prefer: wait, drawn by the fake OpenAI server at ${size}, stored and named in the answer, ` +
      `beside POST /v1/images/generations to that server; ${perSecond} requests/s (aim: ${aim})`,
    ratioOf: 'requests/s',
    addedTo: ['p50 ms', 'p99 ms'],
    async start() {
      const upstream = await startChild<object>('openai-fake', String(side));
      const baseUrl = upstream.ready.url ?? '';
      const ours = await startChild<object>('openai-ours', baseUrl);
      const direct = { model: 'compatible', prompt: 'a river delta', size, quality: 'medium', n: 1 };
      const render = { prompt: 'a river delta', generator: 'openai', width: side, height: side };
      const load = (ask: () => Promise<void>) => loadSteadily(ask, perSecond, seconds);
      return {
        ours: async () => {
          const sample = { latencies: {} };
          const { delayP99Ms, cpuMs } = await ours.measure(async () => {
            sample.latencies = await load(() =>
              post(
                `${ours.ready.url}/v1/renders`,
                render,
                { prefer: 'wait=60' },
                (body) => body.status === 'succeeded',
              ),
            );
          });
          const perRender = cpuMs / (perSecond * seconds);
          return { ...sample.latencies, 'loop delay p99 ms': delayP99Ms, 'CPU ms per render': perRender };
        },
        baseline: () =>
          load(() =>
            post(
              `${baseUrl}/images/generations`,
              direct,
              { authorization: `Bearer ${OPENAI_KEY}` },
              ({ data }) => data?.length === 1,
            ),
          ),
        stop: async () => {
          await ours.stop();
          await upstream.stop();
        },
      };
    },
  };
}

/** Begins requests at a steady rate, so that a slow answer delays no other request. */
async function loadSteadily(ask: () => Promise<void>, perSecond: number, seconds: number): Promise<Sample> {
  const latencies: number[] = [];
  const began = performance.now();
  const asking = Array.from({ length: perSecond * seconds }, async (_request, index) => {
    const dueAt = began + (index * 1000) / perSecond;
    await setTimeout(Math.max(0, dueAt - performance.now()));
    const started = performance.now();
    await ask();
    latencies.push(performance.now() - started);
  });
  await Promise.all(asking);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN;
  return {
    'requests/s': (latencies.length * 1000) / (performance.now() - began),
    'p50 ms': at(0.5),
    'p99 ms': at(0.99),
  };
}

async function post(
  url: string,
  body: object,
  headers: Record<string, string>,
  worked: (answer: Answer) => boolean,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!worked(answerSchema.parse(await response.json())))
    throw new Error(`${response.status} from ${url}: the figures mean nothing`);
}
