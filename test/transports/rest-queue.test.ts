import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { ConfigChanges, StreamMessage, TestApp } from '../helper.ts';
import { startApp, temporaryDir } from '../helper.ts';

async function startStepped(options: { config?: ConfigChanges; dir?: string } = {}) {
  const [stepped, other] = [new SteppedGenerator(), new SteppedGenerator('other')];
  const app = await startApp({
    ...options,
    config: {
      http: { drain_s: 0 },
      ...options.config,
      generator: { strategy: 'stepped', ...options.config?.generator },
    },
    overrides: { generators: new Map([stepped, other].map((each) => [each.name, each])) },
  });
  return { app, stepped, other };
}

const submit = (app: TestApp, request_id: string, changes: object = {}) =>
  app.call('POST', '/v1/renders', { request_id, prompt: 'a delta', ...changes });
const statusOf = async (app: TestApp, id: string): Promise<string> =>
  (await app.call('GET', `/v1/renders/${id}`)).body.status;
const end = (app: TestApp, id: string) => app.call('GET', `/v1/renders/${id}`, undefined, { prefer: 'wait=60' });

/** The value of a metric, with its labels as they stand there. */
async function metric(app: TestApp, name: string): Promise<string | undefined> {
  const { body } = await app.call('GET', '/metrics');
  const line = String(body)
    .split('\n')
    .find((each) => each.startsWith(`image_server_${name} `));
  return line?.split(' ').at(-1);
}

describe('POST /v1/queue/clear', () => {
  it('cancels what waits and tells everybody, and lets what runs go on', async () => {
    const { app, stepped } = await startStepped();
    const client = await app.listen();
    await submit(app, 'runs');
    const step = await stepped.call(1);
    for (const id of ['a', 'b']) await submit(app, id);
    await submit(app, 'elsewhere', { generator: 'other' });
    const waited = end(app, 'a');
    expect(await app.call('POST', '/v1/queue/clear')).toMatchObject({ status: 200, body: { cancelled: 2 } });
    expect(await waited).toMatchObject({
      status: 200,
      body: { status: 'cancelled', error: { code: 'cancelled', retryable: false } },
    });
    await client.until(({ type, cancelled }: StreamMessage) => type === 'QueueCleared' && cancelled === 2);
    const cancelled = client.messages.filter(({ type }) => type === 'RenderCancelled');
    expect(cancelled.map(({ request_id }) => request_id)).toEqual(['a', 'b']);
    step.finish();
    expect((await end(app, 'runs')).body.status).toBe('succeeded');
    expect(await app.call('POST', '/v1/queue/clear', {})).toMatchObject({ body: { cancelled: 0 } });
  });

  it('cancels what waits for one generator only, where one is named', async () => {
    const { app, stepped, other } = await startStepped();
    await submit(app, 'runs');
    await stepped.call(1);
    await submit(app, 'also runs', { generator: 'other', request_id: 'also' });
    await other.call(1);
    await submit(app, 'a');
    await submit(app, 'b', { generator: 'other' });
    const cleared = await app.call('POST', '/v1/queue/clear', { generator: 'other' });
    expect(cleared.body).toEqual({ cancelled: 1 });
    expect([await statusOf(app, 'a'), await statusOf(app, 'b')]).toEqual(['queued', 'cancelled']);
  });

  it('refuses a generator that there is not, and other keys', async () => {
    const { app, stepped } = await startStepped();
    await submit(app, 'runs');
    await stepped.call(1);
    await submit(app, 'a');
    const unknown = await app.call('POST', '/v1/queue/clear', { generator: 'none' });
    expect(unknown).toMatchObject({ status: 422, body: { code: 'unknown_generator' } });
    for (const [body, path] of [
      [{ status: 'queued' }, 'status'],
      [{ generator: 7 }, 'generator'],
    ] as const) {
      const { status, body: problem } = await app.call('POST', '/v1/queue/clear', body);
      expect([status, problem.errors[0].path]).toEqual([422, path]);
    }
    expect(await statusOf(app, 'a')).toBe('queued');
  });
});

describe('POST /v1/queue/pause', () => {
  it('lets nothing begin until resume, and the health tells so', async () => {
    const { app, stepped } = await startStepped();
    const client = await app.listen();
    await submit(app, 'runs');
    const step = await stepped.call(1);
    for (const _ of [1, 2]) {
      expect(await app.call('POST', '/v1/queue/pause')).toMatchObject({ status: 200, body: { paused: true } });
    }
    await submit(app, 'waits');
    const health = await app.call('GET', '/health');
    expect(health.body).toMatchObject({ status: 'degraded', parts: { queue: { status: 'degraded' } } });
    expect((await app.call('GET', '/health/ready')).status).toBe(200);
    step.finish();
    expect((await end(app, 'runs')).body.status).toBe('succeeded');
    expect(stepped.calls).toHaveLength(1);
    expect(await statusOf(app, 'waits')).toBe('queued');

    expect(await app.call('POST', '/v1/queue/resume')).toMatchObject({ status: 200, body: { paused: false } });
    (await stepped.call(2)).finish();
    expect((await end(app, 'waits')).body.status).toBe('succeeded');
    await client.until(({ type }: StreamMessage) => type === 'QueueResumed');
    const told = client.messages.filter(({ type }) => type.startsWith('Queue'));
    expect(told.map(({ type }) => type)).toEqual(['QueuePaused', 'QueueResumed']);
    expect((await app.call('GET', '/health')).body.status).toBe('ok');
  });

  it('holds across a restart', async () => {
    const dir = await temporaryDir();
    const { app } = await startStepped({ dir });
    await app.call('POST', '/v1/queue/pause');
    await submit(app, 'waits');
    await app.stop();
    const { app: later, stepped } = await startStepped({ dir });
    await submit(later, 'waits too');
    expect((await later.call('GET', '/health')).body.parts.queue.status).toBe('degraded');
    expect(await statusOf(later, 'waits')).toBe('queued');
    expect(stepped.calls).toHaveLength(0);
    await later.call('POST', '/v1/queue/resume');
    expect((await stepped.call(1)).work.prompt).toBe('a delta');
  });
});

describe('GET /metrics', () => {
  it('counts what the cache did', async () => {
    const { app, stepped } = await startStepped();
    const seeded = { seed: 7 };
    await submit(app, 'first', seeded);
    const step = await stepped.call(1);
    expect((await submit(app, 'joins', seeded)).body).toMatchObject({ status: 'running' });
    step.finish();
    expect((await end(app, 'joins')).body).toMatchObject({ status: 'succeeded', cached: false });
    expect((await submit(app, 'hit', seeded)).body).toMatchObject({ status: 'succeeded', cached: true, attempts: [] });
    await submit(app, 'fresh', { ...seeded, cache: 'refresh' });
    await submit(app, 'seedless');
    const outcomes = ['miss', 'joined', 'hit', 'bypass'];
    const counts = await Promise.all(
      outcomes.map((outcome) => metric(app, `cache_requests_total{outcome="${outcome}"}`)),
    );
    expect(counts).toEqual(['1', '1', '1', '2']);
  });

  it('tells of each circuit whether it is open', async () => {
    const { app, stepped } = await startStepped();
    const state = () => metric(app, 'circuit_state{generator="stepped"}');
    expect(await state()).toBe('0');
    for (let number = 1; ; number += 1) {
      const { status } = await submit(app, `r${number}`);
      if (status === 503) break;
      expect(number).toBeLessThan(20);
      (await stepped.call(number)).fail(new AppError('generator_failed', 'The provider said no.'));
      await end(app, `r${number}`);
    }
    expect(await state()).toBe('1');
    expect((await app.call('GET', '/v1/generators/stepped')).body.state).toBe('open');
    expect(await metric(app, 'circuit_state{generator="other"}')).toBe('0');
  });
});
