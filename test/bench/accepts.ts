import autocannon from 'autocannon';
import type { Child } from './child.ts';
import { startChild } from './child.ts';
import type { Sample, Scenario } from './compare.ts';

const REQUEST = {
  prompt: 'A river delta at dawn, seen from above',
  negative_prompt: 'blur, text',
  era: 'wilderness',
  biome: 'river',
  width: 1024,
  height: 1024,
};

/** How many accepts a second the journal makes durable over HTTP. */
export function acceptsScenario(seconds: number): Scenario {
  return {
    name: 'accepts',
    about:
      'POST /v1/renders, journalled before 202, beside a bare Fastify route with the same schema and one ' +
      'group-committed insert (aim: ratio 0.5, 1500/s, loop delay p99 < 20 ms)',
    ratioOf: 'accepts/s',
    async start() {
      const ours = await startChild<object>('accepts-ours');
      const bare = await startChild<object>('accepts-bare');
      return {
        ours: () => load(ours, REQUEST, seconds),
        baseline: () => load(bare, REQUEST, seconds),
        stop: async () => {
          await ours.stop();
          await bare.stop();
        },
      };
    },
  };
}

/** How many requests a second stored images answer, each a render of its own with all of its events. */
export function hitsScenario(seconds: number): Scenario {
  const request = { ...REQUEST, width: 256, height: 256, seed: 7 };
  return {
    name: 'hits',
    about: 'POST /v1/renders, answered by stored images, beside the baseline of accepts (no aim)',
    ratioOf: 'accepts/s',
    async start() {
      const ours = await startChild<object>('hits-ours');
      const bare = await startChild<object>('accepts-bare');
      const first = await fetch(`${ours.ready.url}/v1/renders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', prefer: 'wait=60' },
        body: JSON.stringify(request),
      });
      if (first.status !== 200) throw new Error('there are no images to answer with');
      return {
        ours: () => load(ours, request, seconds),
        baseline: () => load(bare, request, seconds),
        stop: async () => {
          await ours.stop();
          await bare.stop();
        },
      };
    },
  };
}

async function load(child: Child<object>, request: object, seconds: number): Promise<Sample> {
  const result = Promise.withResolvers<autocannon.Result>();
  const { delayP99Ms } = await child.measure(async () => {
    const run = autocannon({
      url: `${child.ready.url}/v1/renders`,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      connections: 100,
      duration: seconds,
    });
    run.then(result.resolve, result.reject);
    await result.promise;
  });
  const { requests, latency, non2xx, errors } = await result.promise;
  if (non2xx + errors > 0) throw new Error(`${non2xx} refusals and ${errors} errors: the figures mean nothing`);
  return {
    'accepts/s': requests.average,
    'p50 ms': latency.p50,
    'p99 ms': latency.p99,
    'loop delay p99 ms': delayP99Ms,
  };
}
