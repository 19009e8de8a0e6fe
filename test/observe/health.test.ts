import { describe, expect, it } from 'vitest';
import type { GeneratorHealth } from '../../src/generators/generator.ts';
import type { HealthSources, PartHealth } from '../../src/observe/health.ts';
import { createHealth } from '../../src/observe/health.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';

/** Health of parts that are well until the test says otherwise. */
function wellUntil() {
  const clock = new ManualClock();
  const state = {
    journal: 0,
    store: 0,
    journalFails: false,
    storeFails: false,
    draining: false,
    paused: false,
    disks: [] as [string, PartHealth][],
    generators: [['mock', { state: 'ready' }]] as [string, GeneratorHealth][],
    bus: undefined as ReturnType<HealthSources['bus']>,
  };
  const health = createHealth({
    async probeJournal() {
      state.journal += 1;
      if (state.journalFails) throw new Error('ENOSPC /secret/path');
    },
    async probeStore() {
      state.store += 1;
      if (state.storeFails) throw new Error('EIO /secret/path');
    },
    draining: () => state.draining,
    disks: () => state.disks,
    paused: async () => state.paused,
    generators: () => state.generators,
    bus: () => state.bus,
    clock,
    version: '1.2.3',
  });
  return { clock, state, health };
}

describe('the readiness', () => {
  it('has no reason against it when journal and store can be written', async () => {
    const { health } = wellUntil();
    expect(await health.readiness()).toEqual([]);
  });

  it('names what cannot be written, and shows nothing of the error', async () => {
    const { clock, state, health } = wellUntil();
    state.journalFails = true;
    expect(await health.readiness()).toEqual(['journal: it cannot be written']);
    state.storeFails = true;
    await clock.advance(1000);
    expect(await health.readiness()).toEqual(['journal: it cannot be written', 'store: images cannot be written']);
    state.journalFails = false;
    state.storeFails = false;
    await clock.advance(1000);
    expect(await health.readiness()).toEqual([]);
  });

  it('ends when the server drains, but not for a generator or a core that is away', async () => {
    const { state, health } = wellUntil();
    state.generators = [['mock', { state: 'disabled', reason: 'no key' }]];
    state.bus = { state: 'waiting', reason: 'no core' };
    expect(await health.readiness()).toEqual([]);
    state.draining = true;
    expect(await health.readiness()).toEqual(['the server is stopping']);
  });
});

describe('the report', () => {
  it('has every part with its status, the worst of which is its own', async () => {
    const { clock, state, health } = wellUntil();
    await clock.advance(61_400);
    expect(await health.report()).toEqual({
      status: 'ok',
      version: '1.2.3',
      uptime_s: 61,
      parts: { journal: { status: 'ok' }, store: { status: 'ok' }, 'generator:mock': { status: 'ok' } },
    });

    state.bus = { state: 'waiting', reason: 'no core at tcp://127.0.0.1:5564' };
    expect(await health.report()).toMatchObject({
      status: 'degraded',
      parts: { bus: { status: 'degraded', reason: 'no core at tcp://127.0.0.1:5564' } },
    });
    state.bus = { state: 'down' };
    expect(await health.report()).toMatchObject({ status: 'failed', parts: { bus: { status: 'failed' } } });
    state.bus = { state: 'up' };
    expect(await health.report()).toMatchObject({ status: 'ok', parts: { bus: { status: 'ok' } } });

    state.draining = true;
    expect(await health.report()).toMatchObject({ status: 'failed', parts: { server: { status: 'failed' } } });
  });

  it('says how each generator is, and why', async () => {
    const { state, health } = wellUntil();
    state.generators = [
      ['a', { state: 'ready' }],
      ['b', { state: 'starting' }],
      ['c', { state: 'degraded', reason: 'slow' }],
      ['d', { state: 'open', reason: 'too many failures' }],
      ['e', { state: 'disabled', reason: 'no key' }],
    ];
    const { status, parts } = await health.report();
    expect(status).toBe('failed');
    expect(parts).toMatchObject({
      'generator:a': { status: 'ok' },
      'generator:b': { status: 'degraded', reason: 'starting' },
      'generator:c': { status: 'degraded', reason: 'slow' },
      'generator:d': { status: 'degraded', reason: 'too many failures' },
      'generator:e': { status: 'failed', reason: 'no key' },
    });
  });

  it('is degraded by a disk that is nearly full, which takes renders all the same', async () => {
    const { state, health } = wellUntil();
    state.disks = [['cache', { status: 'degraded', reason: 'nearly full: 3 MiB are left' }]];
    expect(await health.report()).toMatchObject({
      status: 'degraded',
      parts: { 'disk:cache': { status: 'degraded', reason: 'nearly full: 3 MiB are left' } },
    });
    expect(await health.readiness()).toEqual([]);
  });

  it('shares one look at the disk among all who ask within a second', async () => {
    const { clock, state, health } = wellUntil();
    await Promise.all([health.readiness(), health.report(), health.readiness()]);
    await clock.advance(999);
    await health.report();
    expect([state.journal, state.store]).toEqual([1, 1]);
    state.storeFails = true;
    expect(await health.readiness()).toEqual([]);
    await clock.advance(1);
    expect(await health.readiness()).toEqual(['store: images cannot be written']);
    expect([state.journal, state.store]).toEqual([2, 2]);
  });
});

describe('the health routes', () => {
  it('answer 200 while all is well', async () => {
    const app = await startApp();
    expect(await app.call('GET', '/health/live')).toMatchObject({ status: 200, body: { live: true } });
    expect(await app.call('GET', '/health/ready')).toMatchObject({ status: 200, body: { ready: true, reasons: [] } });
    const { status, body } = await app.call('GET', '/health');
    expect({ status, own: body.status }).toEqual({ status: 200, own: 'ok' });
    expect(Object.keys(body.parts).sort()).toEqual(['disk:cache', 'disk:data', 'generator:mock', 'journal', 'store']);
  });

  it('answer 503 while the server drains, and live all the same', async () => {
    const stepped = new SteppedGenerator();
    const app = await startApp({
      config: { generator: { strategy: 'stepped' }, http: { drain_s: 30 } },
      overrides: { generators: new Map([['stepped', stepped]]) },
    });
    await app.call('POST', '/v1/renders', { prompt: 'a' });
    const step = await stepped.call(1);
    const client = await app.listen();
    const stopped = app.stop();
    await client.until(({ type }) => type === 'ServerDraining');
    expect((await app.call('GET', '/health/live')).status).toBe(200);
    expect(await app.call('GET', '/health/ready')).toMatchObject({
      status: 503,
      body: { ready: false, reasons: ['the server is stopping'] },
    });
    expect(await app.call('GET', '/health')).toMatchObject({
      status: 503,
      body: { status: 'failed', parts: { server: { reason: 'the server is stopping' } } },
    });
    step.finish();
    await stopped;
  });
});
