import { once } from 'node:events';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/schema.ts';
import { AppError } from '../../../src/errors.ts';
import type { Work } from '../../../src/generators/generator.ts';
import type { FakeModelServer } from '../../fakes/model-server.ts';
import { failed, startModelServer } from '../../fakes/model-server.ts';
import type { Behaviour } from '../../fakes/scripted-upstream.ts';
import {
  cutShort,
  drip,
  failing,
  flood,
  hang,
  html,
  json,
  rateLimited,
  redirect,
  reset,
  truncated,
} from '../../fakes/scripted-upstream.ts';
import { ManualClock } from '../../manual-clock.ts';
import { plainPng } from '../png.ts';
import { startMute } from '../remote/fixtures.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import { vastaiGenerator } from './fixtures.ts';

const SMALL = { width: 256, height: 256 };
const ANSWER = Buffer.from('{"success": true, "image_b64": "iVBORw0KGgo="}');

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

async function start(changes: Partial<Config['vastai']> = {}) {
  const server = await startModelServer();
  onTestFinished(() => server.close());
  const generator = vastaiGenerator(server, { clock, changes });
  await clock.run(generator.start());
  return { server, generator };
}

/** How one work ends at a server that a test has put into trouble. */
async function outcome(
  trouble: (server: FakeModelServer) => void,
  parts: Partial<Work> = {},
  changes: Partial<Config['vastai']> = {},
) {
  const { server, generator } = await start(changes);
  trouble(server);
  const run = startRun(generator, makeWork({ ...SMALL, ...parts }));
  const error = await run.images.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9 })).not.toContain('UPSTREAM-TEXT');
  return { server, generator, run, error };
}

describe('the model server', () => {
  it('is asked with everything that it knows, by the era’s LoRAs', async () => {
    const depthMap = inputImage(plainPng([9, 9, 9]));
    const { server } = await outcome(() => {}, { depthMap, era: 'modern', negativePrompt: 'people', seed: 5 });
    expect(JSON.parse(String(server.requests.at(-1)?.body))).toEqual({
      prompt: 'a lighthouse in fog',
      negative_prompt: 'people',
      depth_map_b64: Buffer.from(depthMap.bytes).toString('base64'),
      mock_depth: false,
      model: 'lightning',
      controlnet: 'sdxl_small',
      steps: 6,
      cfg: 2,
      seed: 5,
      loras: [
        { name: 'drone', strength: 0.3 },
        { name: 'experimance', strength: 0.6 },
      ],
      controlnet_strength: 0.8,
      control_guidance_start: 0,
      control_guidance_end: 1,
      scheduler: 'auto',
      use_karras_sigmas: null,
      width: 256,
      height: 256,
      enable_deepcache: false,
      use_jpeg: true,
    });
  });

  it.each([
    ['wilderness', [0.8, 0.4]],
    ['pre_industrial', [0.8, 0.4]],
    ['early_industrial', [0.8, 0.4]],
    ['late_industrial', [0.6, 0.5]],
    ['current', [0.3, 0.9]],
    ['future', [1.1]],
    ['dystopia', [0.6, 0.5]],
    ['ruins', [0.8, 0.3]],
    [undefined, [1]],
  ])('gets the LoRAs of the era %s', async (era, strengths) => {
    const { server } = await outcome(() => {}, { era });
    expect(server.drawn[0]?.loras?.map(({ strength }) => strength)).toEqual(strengths);
  });

  it('gets the LoRAs, steps and guidance of the request before its own', async () => {
    const { server } = await outcome(() => {}, { loras: [{ path: 'ink', scale: 2 }], steps: 50, guidanceScale: 0.1 });
    expect(server.drawn[0]).toMatchObject({ loras: [{ name: 'ink', strength: 2 }], steps: 50, cfg: 0.1 });
  });

  it.each<[string, Partial<Work>]>([
    ['prompt', { prompt: 'x'.repeat(1001) }],
    ['negative_prompt', { negativePrompt: 'x'.repeat(1001) }],
    ['steps', { steps: 51 }],
    ['guidance_scale', { guidanceScale: 20.5 }],
    ['loras', { loras: [{ path: 'ink', scale: 2.5 }] }],
  ])('is not asked for what it would refuse: %s', async (path, parts) => {
    const { server, error } = await outcome(() => {}, parts);
    expect(error).toMatchObject({ code: 'unsupported_field', retryable: false, issues: [{ path }] });
    expect(server.count('generate')).toBe(0);
  });

  it('draws one image after the other, each with its own seed', async () => {
    const { server } = await outcome(() => {}, { numImages: 3, seed: 2 ** 32 - 2 });
    expect(server.drawn.map(({ seed }) => seed)).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 0]);
  });

  it('costs its GPU’s time, if that is rented', async () => {
    const rented = await outcome(() => {}, { numImages: 2 }, { usd_per_hour: 0.5 });
    expect(rented.run.costs).toEqual([(3.6 / 3600) * 0.5]);
    const owned = await outcome(() => {});
    expect(owned.run.costs).toEqual([]);
  });
});

describe('a work at the model server', () => {
  it('fails when the server says so, with HTTP 200', async () => {
    const { error, server } = await outcome((fake) => fake.plan('generate', failed()));
    expect(error).toMatchObject({ code: 'generator_failed', retryable: true });
    expect(server.count('generate')).toBe(1);
  });

  it.each<[string, Behaviour, string, boolean]>([
    ['429', rateLimited('7'), 'upstream_rate_limited', true],
    ['500', failing(500), 'upstream_failed', true],
    ['503', failing(503), 'upstream_failed', true],
    ['422', failing(422), 'upstream_failed', false],
    ['401', failing(401), 'upstream_auth', false],
    ['a redirect', redirect('http://127.0.0.1:1/'), 'upstream_failed', false],
    ['502', failing(502), 'outcome_unknown', false],
    ['504', failing(504), 'outcome_unknown', false],
    ['a broken connection', reset(), 'outcome_unknown', false],
    ['half an answer', truncated(ANSWER, 'application/json'), 'outcome_unknown', false],
    ['half an answer that looks whole', cutShort(ANSWER, 'application/json'), 'invalid_output', false],
    ['a page', html(), 'invalid_output', false],
    ['an answer of another form', json({ success: 'yes' }), 'invalid_output', false],
    ['success without an image', json({ success: true }), 'invalid_output', false],
    ['something that is no base64', json({ success: true, image_b64: '<html>' }), 'invalid_output', false],
    ['something that is no image', json({ success: true, image_b64: 'aGVsbG8=' }), 'invalid_output', false],
    ['a gigabyte', flood(2 ** 30, 'application/json'), 'invalid_output', false],
  ])('that is answered by %s fails as that, and is asked once', async (_name, behaviour, code, retryable) => {
    const { server, error } = await outcome((fake) => fake.plan('generate', behaviour));
    expect(error).toMatchObject({ code, retryable });
    expect(server.count('generate')).toBe(1);
  });

  it('says when to come back', async () => {
    const { error } = await outcome((fake) => fake.plan('generate', rateLimited('7')));
    expect(error).toMatchObject({ retryAfterMs: 7000 });
  });

  it('may be asked for again after an unknown outcome where the operator allows that', async () => {
    const { error } = await outcome((fake) => fake.plan('generate', reset()), {}, { resubmit_unknown: true });
    expect(error).toMatchObject({ code: 'outcome_unknown', retryable: true });
  });

  it.each<[string, Behaviour]>([
    ['hangs', hang()],
    ['drips', drip(5)],
  ])('that %s ends with its signal at once, and may go on there', async (_name, behaviour) => {
    const { server, generator } = await start();
    server.plan('generate', behaviour);
    const reason = new AppError('render_timeout', 'It took too long.');
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('generate', 1);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
  });
});

describe('work that is stopped at the model server', () => {
  it('was not asked for as long as no connection was ready', async () => {
    const mute = await startMute();
    const generator = vastaiGenerator(mute, { clock });
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await mute.accepted;
    stop.abort('enough');
    await expect(run.images).rejects.toBe('enough');
    expect(run.detached).toBe(false);
  });

  it('costs what was drawn of it', async () => {
    const { server, generator } = await start({ usd_per_hour: 3600 });
    const stop = new AbortController();
    const run = startRun(generator, makeWork({ ...SMALL, numImages: 2 }), {
      stop,
      reactions: { onProgress: () => stop.abort('enough') },
    });
    await expect(run.images).rejects.toBe('enough');
    expect([run.detached, run.costs, server.count('generate')]).toEqual([false, [1.8], 1]);
  });
});

describe('the generator vastai', () => {
  it('is disabled without an address', async () => {
    const generator = vastaiGenerator({ url: 'http://127.0.0.1:1' }, { clock, changes: { base_url: undefined } });
    expect(generator.health()).toEqual({ state: 'disabled', reason: 'It has no server: set [vastai] base_url.' });
    await expect(generator.start()).rejects.toMatchObject({ code: 'generator_unavailable' });
  });

  it('waits while the models load', async () => {
    const server = await startModelServer();
    onTestFinished(() => server.close());
    server.status('initializing', { model_server_healthy: false, ready_for_inference: false });
    const generator = vastaiGenerator(server, { clock });
    const started = generator.start();
    await clock.untilPending();
    expect(generator.health()).toEqual({ state: 'starting', reason: 'The model server loads its models.' });
    server.status('loading_models', { ready_for_inference: false });
    await clock.advance(10_000);
    await server.received('healthcheck', 2);
    expect(generator.health().state).toBe('starting');
    server.status('ready_basic');
    await clock.run(started);
    expect(generator.health()).toEqual({ state: 'ready' });
  });

  it('takes work that fails at once while the server is away, and is ready when it has come', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = holder.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
    holder.close();
    const generator = vastaiGenerator({ url }, { clock });
    await generator.start();
    expect(generator.health()).toEqual({ state: 'degraded', reason: 'The model server cannot be reached.' });
    const run = startRun(generator, makeWork(SMALL));
    await expect(run.images).rejects.toMatchObject({ code: 'upstream_failed', retryable: true });
  });

  it.each<[string, Behaviour, string]>([
    ['breaks', reset(), 'The model server cannot be reached.'],
    ['says that it is broken', json({ status: 'error' }), 'The model server says that it does not work.'],
  ])(
    'is degraded after a failure while the health check %s, until it is well again',
    async (_name, behaviour, reason) => {
      const { server, generator } = await start();
      server.plan('generate', failing(500));
      server.plan('healthcheck', behaviour);
      await expect(startRun(generator, makeWork(SMALL)).images).rejects.toMatchObject({ code: 'upstream_failed' });
      await clock.untilPending();
      expect(generator.health()).toEqual({ state: 'degraded', reason });
      await clock.advance(10_000);
      await server.received('healthcheck', 3);
      await expect.poll(() => generator.health()).toEqual({ state: 'ready' });
      expect(clock.pending).toBe(0);
    },
  );

  it('gives up a health check that hangs', async () => {
    const server = await startModelServer();
    onTestFinished(() => server.close());
    server.always('healthcheck', hang());
    const httpClock = new ManualClock();
    const generator = vastaiGenerator(server, { clock, httpClock });
    const started = generator.start();
    await server.received('healthcheck', 1);
    await httpClock.advance(10_000);
    await started;
    expect(generator.health().state).toBe('degraded');
  });
});
