import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import { sendRaw } from '../transports/raw-http.ts';
import type { Sample } from './exposition.ts';
import { parseExposition, sampleOf } from './exposition.ts';

async function scrape(app: TestApp): Promise<Sample[]> {
  const { status, headers, body } = await app.call('GET', '/metrics');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parseExposition(String(body));
}

/** A sample without its value. */
function seriesOf({ name, labels }: Sample): string {
  return `${name} ${JSON.stringify(labels)}`;
}

async function startStepped() {
  const stepped = new SteppedGenerator();
  const app = await startApp({
    config: { http: { drain_s: 0 } },
    overrides: { generators: new Map([['stepped', stepped]]) },
  });
  const ask = (body: object = {}) => app.call('POST', '/v1/renders', { prompt: 'a', generator: 'stepped', ...body });
  return { app, stepped, ask };
}

/** Resolves when the render is over. */
async function over(app: TestApp, id: string): Promise<void> {
  await app.call('GET', `/v1/renders/${id}`, undefined, { prefer: 'wait=60' });
}

describe('the metrics', () => {
  it('count what became of renders, and how long it took', async () => {
    const { app, stepped, ask } = await startStepped();
    const drawn = await ask({ num_images: 3 });
    (await stepped.call(1)).finish();
    await over(app, drawn.body.id);
    const failed = await ask();
    (await stepped.call(2)).fail(new AppError('generator_failed', 'No.'));
    await over(app, failed.body.id);
    const cancelled = await ask();
    await stepped.call(3);
    await app.call('POST', `/v1/renders/${cancelled.body.id}/cancel`);
    const running = await ask();
    await stepped.call(4);
    await ask();

    const samples = await scrape(app);
    const of = (name: string, labels: Record<string, string> = {}) =>
      sampleOf(samples, `image_server_${name}`, { generator: 'stepped', ...labels });
    expect(of('renders_total', { status: 'succeeded' })).toBe(1);
    expect(of('renders_total', { status: 'failed' })).toBe(1);
    expect(of('renders_total', { status: 'cancelled' })).toBe(1);
    expect(of('attempts_total', { outcome: 'succeeded' })).toBe(1);
    expect(of('attempts_total', { outcome: 'failed' })).toBe(1);
    expect(of('attempts_total', { outcome: 'cancelled' })).toBe(1);
    expect(of('render_duration_seconds_count')).toBe(2);
    expect(of('render_duration_seconds_bucket', { le: '+Inf' })).toBe(2);
    expect(of('queue_wait_seconds_count')).toBe(4);
    expect(of('queue_depth')).toBe(1);
    expect(of('renders_running')).toBe(1);
    expect(of('queue_oldest_seconds')).toBeGreaterThanOrEqual(0);
    expect(sampleOf(samples, 'image_server_queue_depth', { generator: 'mock' })).toBe(0);

    const total = (type: string) => sampleOf(samples, 'image_server_events_total', { type });
    expect(total('RenderQueued')).toBe(5);
    expect(total('RenderStarted')).toBe(4);
    expect(total('ImageReady')).toBe(3);
    expect(total('RenderFailed')).toBe(1);
    expect(total('RenderCancelled')).toBe(1);
    expect(total('ServerDraining')).toBe(0);
    expect(sampleOf(samples, 'image_server_event_seq')).toBe(app.renders.lastSeq);
    const about = { method: 'POST', route: '/v1/renders', status: '202' };
    expect(sampleOf(samples, 'image_server_http_request_duration_seconds_count', about)).toBe(5);
    expect(sampleOf(samples, 'image_server_build_info', { node: 'v0.0.0-test' })).toBe(1);
    expect(samples.some(({ name }) => name === 'nodejs_eventloop_lag_seconds')).toBe(true);

    (await stepped.call(4)).finish();
    await over(app, running.body.id);
    (await stepped.call(5)).finish();
  });

  it('have buckets that only grow, up to the count', async () => {
    const { app, stepped, ask } = await startStepped();
    const { body } = await ask();
    (await stepped.call(1)).finish();
    await over(app, body.id);
    const samples = await scrape(app);
    const buckets = samples.filter(({ name }) => name === 'image_server_render_duration_seconds_bucket');
    expect(buckets.length).toBeGreaterThan(10);
    expect(buckets.map(({ labels }) => Number(labels.le?.replace('+Inf', 'Infinity')))).toEqual(
      buckets.map(({ labels }) => Number(labels.le?.replace('+Inf', 'Infinity'))).sort((a, b) => a - b),
    );
    for (const [at, { value }] of buckets.entries()) expect(value).toBeGreaterThanOrEqual(buckets[at - 1]?.value ?? 0);
    expect(buckets.at(-1)?.value).toBe(1);
  });

  it('know who listens, and why they left', async () => {
    const app = await startApp();
    const [one, two] = await Promise.all([app.listen(), app.listen()]);
    expect(sampleOf(await scrape(app), 'image_server_subscribers', { transport: 'websocket' })).toBe(2);
    one.socket.close();
    two.socket.send('x'.repeat(70_000));
    await Promise.all([one.closed, two.closed]);
    let samples = await scrape(app);
    while (sampleOf(samples, 'image_server_subscribers') !== 0) samples = await scrape(app);
    expect(sampleOf(samples, 'image_server_subscriber_closes_total', { reason: 'client' })).toBe(2);
  });

  it('do not grow with ids, paths and methods that callers make up', async () => {
    const app = await startApp();
    // Node's own kinds of garbage collection and handles come and go.
    const ours = async () => (await scrape(app)).filter(({ name }) => name.startsWith('image_server_')).map(seriesOf);
    /** One of each kind that can be counted. */
    async function callAll(made: string): Promise<void> {
      const paths = [
        `/v1/renders/${made}`,
        `/v1/images/${made}`,
        `/v1/generators/${made}`,
        `/${made}`,
        `/docs/${made}`,
      ];
      for (const path of paths) await app.call('GET', path);
      await app.call('POST', `/v1/renders/${made}/cancel`);
      await app.call('POST', '/v1/renders', { prompt: made, generator: made, [made]: 1 });
      await app.call('POST', '/v1/renders', { prompt: '', request_id: made });
      await app.call('DELETE', `/v1/renders?${made}=${made}`, undefined, { 'user-agent': made, prefer: made });
    }
    await callAll('first');
    await ours();
    const before = await ours();
    for (let at = 0; at < 110; at += 1) await callAll(`made-up-${at}`);

    const methods = Array.from({ length: 20 }, (_, at) => `MADE${at}`);
    for (const method of methods) await sendRaw(app.url, `${method} /v1/renders HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(await ours()).toEqual(before);
  });

  it('have no series that a prompt, an id or an address could be read from', async () => {
    const app = await startApp();
    await app.render({ prompt: 'secret words', request_id: 'secret-id', width: 64, height: 64 });
    const text = String((await app.call('GET', '/metrics')).body);
    expect(text).not.toMatch(/secret|127\.0\.0\.1|[0-9a-f]{64}|\/tmp/);
  });

  it('escape what stands in labels', async () => {
    const metrics = createMetrics({
      generators: ['odd "name"\\\n'],
      circuitOf: () => 'closed',
      tokensOf: () => Number.POSITIVE_INFINITY,
      queueStats: async () => [],
      storeUsage: async () => ({ files: 2, bytes: 300 }),
      diskFree: () => [],
      onTrouble: () => {},
      lastSeq: () => 0,
      subscribers: () => ({}),
      steadyNow: () => 0,
      version: '1',
      nodeVersion: '2',
    });
    metrics.onBusMessage({ direction: 'in', type: 'other', outcome: 'malformed_message' });
    metrics.onSubscriberDrop('websocket', 'progress');
    const samples = parseExposition((await metrics.scrape()).text);
    expect(sampleOf(samples, 'image_server_queue_depth')).toBe(0);
    expect(sampleOf(samples, 'image_server_bus_messages_total', { outcome: 'malformed_message' })).toBe(1);
    expect(sampleOf(samples, 'image_server_subscriber_drops_total', { kind: 'progress' })).toBe(1);
  });

  it('are given without the queues while the journal is in trouble, which is reported once a scrape', async () => {
    const trouble: unknown[] = [];
    const metrics = createMetrics({
      generators: ['mock'],
      circuitOf: () => 'closed',
      tokensOf: () => Number.POSITIVE_INFINITY,
      queueStats: () => Promise.reject(new Error('disk')),
      storeUsage: async () => ({ files: 2, bytes: 300 }),
      diskFree: () => [],
      onTrouble: (error) => trouble.push(error),
      lastSeq: () => 7,
      subscribers: () => ({ websocket: 3 }),
      steadyNow: () => 20_000,
      version: '1',
      nodeVersion: 'v1',
    });
    const { text } = await metrics.scrape();
    expect(text).toContain('image_server_event_seq 7');
    expect(text).not.toMatch(/^image_server_queue_depth\{/m);
    expect(trouble).toEqual([new Error('disk')]);
  });

  it('tell how old the oldest work is that waits', async () => {
    const metrics = createMetrics({
      generators: ['mock'],
      circuitOf: () => 'closed',
      tokensOf: () => Number.POSITIVE_INFINITY,
      queueStats: async () => [{ generator: 'mock', queued: 2, running: 1, oldestAt: 10_000 }],
      storeUsage: async () => ({ files: 2, bytes: 300 }),
      diskFree: () => [],
      onTrouble: () => {},
      lastSeq: () => 7,
      subscribers: () => ({ websocket: 3 }),
      steadyNow: () => 12_500,
      version: '1',
      nodeVersion: '2',
    });
    const samples = parseExposition((await metrics.scrape()).text);
    expect(sampleOf(samples, 'image_server_queue_oldest_seconds')).toBe(2.5);
    expect(sampleOf(samples, 'image_server_event_seq')).toBe(7);
    expect(sampleOf(samples, 'image_server_subscribers', { transport: 'websocket' })).toBe(3);
  });
});
