import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { Journal } from '../../src/render/journal.ts';
import type { ClaimedWork, RenderRecord } from '../../src/render/records.ts';
import { AT, accept, CANCELLED, find, recover, TIMEOUT } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';

const FULL = () => new AppError('storage_full', 'The disk is full.');
const STOP = new AppError('cancelled', 'not wanted');

/** Lets everything happen that the journal has been asked for. */
const settled = (journal: Journal) => journal.probe({ at: AT });

describe('a work', () => {
  it('becomes stored images, in order of their seeds', async () => {
    const { submit, generator, watch, journal, store, clock } = await startRunner();
    const { id } = await submit({ spec: { numImages: 3, seed: 7, era: 'modern' } });
    const step = await generator.call(1);
    expect(step.work).toMatchObject({ prompt: 'a delta', width: 64, height: 64, seed: 7, numImages: 3, era: 'modern' });
    expect(step.work).not.toHaveProperty('outputFormat');
    await clock.advance(500);
    step.finish();
    await watch.untilCount('ImageReady', 3);
    const render = await find(journal, id);
    expect(render).toMatchObject({ status: 'succeeded', timings: { render_ms: 500, store_ms: 0 } });
    expect(render.images.map(({ seed }) => seed)).toEqual([7, 8, 9]);
    for (const { imageId, format, bytes } of render.images) {
      expect((await readFile(store.pathOf(imageId, format))).length).toBe(bytes);
    }
    expect(watch.typesOf(id)).toEqual([
      'RenderQueued',
      'RenderStarted',
      'AttemptEnded',
      'ImageReady',
      'ImageReady',
      'ImageReady',
    ]);
  });

  it('brings its input images', async () => {
    const { submit, generator, store } = await startRunner();
    const { imageId } = await store.saveInput(Buffer.from('depth'));
    await submit({ spec: { depthMap: imageId } });
    const { work } = await generator.call(1);
    expect(work.depthMap?.imageId).toBe(imageId);
    expect(String(work.depthMap?.bytes)).toBe('depth');
    expect(work.mask).toBeUndefined();
  });

  it('fails when an input image is gone, and the next one runs', async () => {
    const { submit, generator, watch } = await startRunner();
    const { id } = await submit({ spec: { depthMap: 'd'.repeat(64) } });
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'image_evicted' });
    await submit({ spec: { prompt: 'next' } });
    expect((await generator.call(1)).work.prompt).toBe('next');
  });

  it('tells its progress while it runs, and none afterwards', async () => {
    const { submit, generator, runner, progress, watch } = await startRunner();
    const { id, workId } = await submit();
    const { hooks, finish } = await generator.call(1);
    expect(runner.progressOf(workId)).toBeUndefined();
    hooks.onProgress({ step: 1, steps: 4 });
    hooks.onProgress({ step: 2, steps: 4 });
    expect(progress).toEqual([
      { render_id: id, step: 1, fraction: 0.25 },
      { render_id: id, step: 2, fraction: 0.5 },
    ]);
    expect(runner.progressOf(workId)).toEqual({ step: 2, steps: 4 });
    finish();
    await watch.until('ImageReady', id);
    const next = await submit();
    await generator.call(2);
    expect(runner.progressOf(workId)).toBeUndefined();
    expect(runner.progressOf(next.workId)).toBeUndefined();
  });

  it('has a provider’s job id in the journal before the generator goes on', async () => {
    const { submit, generator, journal } = await startRunner();
    const { id } = await submit();
    const { hooks } = await generator.call(1);
    await hooks.onRemoteId('job-7');
    expect((await find(journal, id)).attempts).toMatchObject([{ remoteId: 'job-7' }]);
  });

  it('fails with the generator’s public message, and leaves the cause to the log', async () => {
    const { submit, generator, watch, journal, lines } = await startRunner();
    const { id } = await submit();
    const cause = new Error('key sk-123 is wrong');
    (await generator.call(1)).fail(new AppError('generator_failed', 'The provider refused.', { cause }));
    await watch.until('RenderFailed', id);
    const error = { code: 'generator_failed', message: 'The provider refused.', retryable: true };
    expect(await find(journal, id)).toMatchObject({
      status: 'failed',
      error,
      attempts: [{ outcome: 'failed', error }],
    });
    expect(JSON.stringify([watch.events, await find(journal, id)])).not.toContain('sk-123');
    expect(lines).toMatchObject([{ level: 'error', fields: { render_id: id, err: { cause } } }]);
  });

  it.each([new TypeError('/secret/path'), 'a string with /secret/path', undefined])(
    'fails as internal, without inner text, when the generator throws %s',
    async (thrown) => {
      const { submit, generator, watch, journal } = await startRunner();
      const { id } = await submit();
      (await generator.call(1)).fail(thrown);
      expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'internal', retryable: true });
      expect(JSON.stringify([watch.events, await find(journal, id)])).not.toContain('/secret/path');
    },
  );

  it('fails when the generator makes fewer images than it was asked for', async () => {
    const { submit, generator, watch, journal } = await startRunner();
    generator.generate = async () => [];
    const { id } = await submit({ spec: { numImages: 2 } });
    expect(await watch.until('RenderFailed', id)).toMatchObject({
      code: 'generator_failed',
      message: 'The generator made 0 of 2 images.',
    });
    expect((await find(journal, id)).status).toBe('failed');
  });
});

describe('a lane', () => {
  it('runs as many works at a time as it allows', async () => {
    const { submit, generator, runner, journal, watch } = await startRunner({ concurrency: 3 });
    for (let number = 0; number < 5; number += 1) await submit();
    const [, second] = [await generator.call(1), await generator.call(2), await generator.call(3)];
    await settled(journal);
    expect(generator.calls.length).toBe(3);
    expect(runner.statsOf('draw').running).toBe(3);
    expect(await journal.queueStats({})).toMatchObject([{ queued: 2, running: 3 }]);
    second.finish();
    await watch.untilCount('ImageReady', 1);
    await generator.call(4);
    await settled(journal);
    expect(generator.calls.length).toBe(4);
    expect(await journal.queueStats({})).toMatchObject([{ queued: 1, running: 3 }]);
  });

  it('draws the next work while the images of the last one are entered, and drains only when they are', async () => {
    const entering = Promise.withResolvers<void>();
    const { submit, generator, runner, watch } = await startRunner({
      journal: (real) => ({
        ...real,
        async finish(call) {
          await entering.promise;
          return await real.finish(call);
        },
      }),
    });
    await submit();
    await submit();
    (await generator.call(1)).finish();
    (await generator.call(2)).finish();
    let drained = false;
    const draining = runner.drain(1000).then(() => {
      drained = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([drained, watch.events.filter(({ type }) => type === 'ImageReady')]).toEqual([false, []]);
    entering.resolve();
    await draining;
    expect(watch.events.filter(({ type }) => type === 'ImageReady')).toHaveLength(2);
  });

  it('begins no more works than the journal can be owed ends of', async () => {
    const entering = Promise.withResolvers<void>();
    let begun = 0;
    const { submit, generator, journal, watch } = await startRunner({
      journal: (real) => ({
        ...real,
        async finish(call) {
          begun += 1;
          await entering.promise;
          return await real.finish(call);
        },
      }),
    });
    for (let count = 0; count < 4; count += 1) await submit();
    (await generator.call(1)).finish();
    (await generator.call(2)).finish();
    await vi.waitUntil(() => begun === 2);
    await settled(journal);
    expect(generator.calls.length).toBe(2);
    entering.resolve();
    (await generator.call(3)).finish();
    (await generator.call(4)).finish();
    await vi.waitUntil(() => watch.events.filter(({ type }) => type === 'ImageReady').length === 4);
  });

  it('takes by priority, then the bus before others, then by arrival', async () => {
    const { journal, generator, runner, watch } = await startRunner();
    const places = [
      { prompt: 'rest', door: 'rest', priority: 0 },
      { prompt: 'bus', door: 'bus', priority: 0 },
      { prompt: 'high', door: 'rest', priority: 2 },
      { prompt: 'low', door: 'bus', priority: -2 },
      { prompt: 'rest later', door: 'rest', priority: 0 },
    ] as const;
    for (const { prompt, ...place } of places) await accept(journal, { ...place, timeoutMs: 1e6, spec: { prompt } });
    runner.wake('draw');
    for (let number = 1; number <= 5; number += 1) (await generator.call(number)).finish();
    await watch.untilCount('ImageReady', 5);
    expect(generator.calls.map(({ work }) => work.prompt)).toEqual(['high', 'bus', 'rest', 'rest later', 'low']);
  });

  it.each([1, 2])('loses no wake: 100 quick renders all finish, %i at a time', async (concurrency) => {
    const { submit, generator, watch, journal } = await startRunner({ concurrency });
    const stepping = (async () => {
      for (let number = 1; number <= 100; number += 1) (await generator.call(number)).finish();
    })();
    const renders = await Promise.all(Array.from({ length: 100 }, () => submit()));
    await stepping;
    await watch.untilCount('ImageReady', 100);
    for (const { id } of renders) expect((await find(journal, id)).status).toBe('succeeded');
  });

  it('looks again when it is woken while the journal is being asked', async () => {
    const gate = Promise.withResolvers<void>();
    const asking = Promise.withResolvers<void>();
    let asked = 0;
    const { submit, generator, runner } = await startRunner({
      journal: (real) => ({
        ...real,
        async claim(call) {
          asked += 1;
          asking.resolve();
          const answer = await real.claim(call);
          if (asked === 1) await gate.promise;
          return answer;
        },
      }),
    });
    runner.wake('draw');
    await asking.promise;
    await submit();
    gate.resolve();
    await generator.call(1);
    expect(asked).toBe(2);
  });

  it('waits for a generator that is not ready, and runs with one that is degraded', async () => {
    const { submit, generator, journal, runner } = await startRunner();
    for (const state of ['starting', 'open', 'disabled'] as const) {
      generator.health = () => ({ state });
      await submit();
      await settled(journal);
      expect(await journal.queueStats({})).toMatchObject([{ running: 0 }]);
    }
    generator.health = () => ({ state: 'degraded' });
    runner.wake('draw');
    await generator.call(1);
  });

  it('does nothing for a generator that it does not know', async () => {
    const { runner } = await startRunner();
    runner.wake('unknown');
    expect(runner.statsOf('unknown')).toEqual({ running: 0, meanMs: undefined, concurrency: 1 });
  });

  it('knows how long a work took lately', async () => {
    const { submit, generator, runner, clock, watch } = await startRunner();
    for (const [index, ms] of [1000, 2000].entries()) {
      const { id } = await submit();
      const step = await generator.call(index + 1);
      await clock.advance(ms);
      step.finish();
      await watch.until('ImageReady', id);
    }
    expect(runner.statsOf('draw').meanMs).toBeCloseTo(1200);
  });
});

describe('a time-out', () => {
  it('ends the render at once, and the slot stays taken until the work has stopped', async () => {
    const { submit, generator, journal, clock, watch } = await startRunner();
    generator.stopsOnAbort = false;
    const { id } = await submit({ timeoutMs: 5000 });
    const next = await submit();
    const step = await generator.call(1);
    await clock.advance(4999);
    expect(step.hooks.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(await watch.until('RenderFailed', id)).toMatchObject({
      code: 'render_timeout',
      message: 'The render took longer than its 5 s.',
    });
    await settled(journal);
    expect(step.hooks.signal.reason).toMatchObject({ code: 'render_timeout' });
    expect(generator.calls.length).toBe(1);
    expect((await find(journal, next.id)).status).toBe('queued');

    step.finish();
    await watch.until('AttemptEnded', id);
    await generator.call(2);
    expect(await find(journal, id)).toMatchObject({
      status: 'failed',
      images: [],
      attempts: [{ outcome: 'timeout', error: { code: 'render_timeout' } }],
    });
  });

  it('does not come after the end', async () => {
    const { submit, generator, clock, watch, journal } = await startRunner();
    const { id } = await submit({ timeoutMs: 5000 });
    (await generator.call(1)).finish();
    await watch.until('ImageReady', id);
    const next = await submit();
    await generator.call(2);
    await clock.advance(6000);
    await settled(journal);
    expect((await find(journal, id)).status).toBe('succeeded');
    expect((await find(journal, next.id)).status).toBe('running');
  });
});

describe('a stop', () => {
  it('also reaches work whose claim was not answered yet', async () => {
    const gate = Promise.withResolvers<void>();
    const claimed = Promise.withResolvers<ClaimedWork | undefined>();
    const { submit, generator, runner, journal, watch } = await startRunner({
      journal: (real) => ({
        ...real,
        async claim(call) {
          const answer = await real.claim(call);
          claimed.resolve(answer);
          await gate.promise;
          return answer;
        },
      }),
    });
    const { id, workId } = await submit();
    await claimed.promise;
    const left = await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
    expect(left.stoppedWork).toBe(workId);
    void runner.stop(workId, STOP);
    gate.resolve();
    expect(await watch.until('AttemptEnded', id)).toMatchObject({ outcome: 'cancelled' });
    await submit({ spec: { prompt: 'next' } });
    expect((await generator.call(1)).work.prompt).toBe('next');
  });

  it('that comes with the result does not undo the end that was committed first', async () => {
    const { submit, generator, runner, watch, journal } = await startRunner();
    const { id, workId } = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', id);
    const late = await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
    expect(late.settled).toBe(false);
    void runner.stop(workId, STOP);
    expect(watch.typesOf(id)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded', 'ImageReady']);
  });

  it.each([
    ['cancelled', CANCELLED, 'cancelled'],
    ['failed', TIMEOUT, 'timeout'],
  ] as const)('that is committed just before the result wins: %s', async (status, error, outcome) => {
    let leave: (workId: string) => Promise<unknown> = async () => undefined;
    const { submit, generator, runner, watch, journal } = await startRunner({
      journal: (real) => ({
        ...real,
        async finish(call) {
          await leave(call.workId);
          return await real.finish(call);
        },
      }),
    });
    const { id } = await submit();
    leave = async (workId) => {
      await journal.settle({ renderId: id, status, error, at: AT });
      void runner.stop(workId, new AppError(error.code, error.message));
    };
    (await generator.call(1)).finish();
    expect(await watch.until('AttemptEnded', id)).toMatchObject({ outcome });
    expect(await find(journal, id)).toMatchObject({ status, error, images: [] });
    expect(watch.typesOf(id).includes('ImageReady')).toBe(false);
  });
});

describe('storage that fails', () => {
  it('is tried again until a result is written', async () => {
    const failures = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    let tries = 0;
    const { submit, generator, clock, watch, lines } = await startRunner({
      journal: (real) => ({
        ...real,
        async finish(call) {
          const failure = failures[tries];
          tries += 1;
          if (failure === undefined) return await real.finish(call);
          failure.resolve();
          throw FULL();
        },
      }),
    });
    const { id } = await submit();
    (await generator.call(1)).finish();
    for (const { promise } of failures) {
      await promise;
      await clock.advance(1000);
    }
    await watch.until('ImageReady', id);
    expect(tries).toBe(4);
    expect(lines.map(({ message }) => message)).toEqual(Array(3).fill('the end of a render could not be written'));
  });

  it('is tried again when work is to be taken', async () => {
    const failed = Promise.withResolvers<void>();
    let tries = 0;
    const { submit, generator, clock } = await startRunner({
      journal: (real) => ({
        ...real,
        async claim(call) {
          tries += 1;
          if (tries > 1) return await real.claim(call);
          failed.resolve();
          throw FULL();
        },
      }),
    });
    await submit();
    await failed.promise;
    await clock.advance(1000);
    await generator.call(1);
  });

  it('keeps what is drawn until it can be stored, and draws it once', async () => {
    const tried = Promise.withResolvers<void>();
    let full = true;
    const { submit, generator, watch, clock, journal } = await startRunner({
      store: (real) => ({
        ...real,
        save(...args) {
          tried.resolve();
          return full ? Promise.reject(FULL()) : real.save(...args);
        },
      }),
    });
    const { id } = await submit();
    (await generator.call(1)).finish();
    await tried.promise;
    await clock.advance(5000);
    full = false;
    await clock.advance(1000);
    await watch.until('ImageReady', id);
    expect(generator.calls.length).toBe(1);
    expect((await find(journal, id)).attempts).toMatchObject([{ outcome: 'succeeded' }]);
  });

  it('fails the render with what the storage says when its time is over before that', async () => {
    const tried = Promise.withResolvers<void>();
    const save = () => {
      tried.resolve();
      return Promise.reject(FULL());
    };
    const { submit, generator, watch, clock } = await startRunner({ store: (real) => ({ ...real, save }) });
    const { id } = await submit({ timeoutMs: 5000 });
    (await generator.call(1)).finish();
    await tried.promise;
    await clock.advance(5000);
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'storage_full', retryable: true });
    expect(await watch.until('AttemptEnded', id)).toMatchObject({ code: 'storage_full', outcome: 'failed' });
  });

  it('gives no image its name before the note of it is written, and writes both at the same time', async () => {
    const asked = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const { submit, generator, watch, store, dir } = await startRunner({
      store: (real) => ({
        ...real,
        async writeNote(...args) {
          asked.resolve();
          await written.promise;
          await real.writeNote(...args);
        },
      }),
    });
    const files = async (folder: string) =>
      (await readdir(join(dir, folder), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const { id } = await submit();
    (await generator.call(1)).finish();
    await asked.promise;
    await expect.poll(() => files('tmp')).toHaveLength(1);
    expect(await files('renders')).toEqual([]);
    written.resolve();
    const { image_id, format } = await watch.until('ImageReady', id);
    expect(await store.has(image_id, format)).toBe(true);
  });

  it('leaves no note behind when the images were there before it was written', async () => {
    const asked = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const saved = Promise.withResolvers<void>();
    let notes = 0;
    const { submit, generator, watch, store, journal } = await startRunner({
      store: (real) => ({
        ...real,
        async save(...args) {
          const file = await real.save(...args);
          if (notes === 2) saved.resolve();
          return file;
        },
        async writeNote(...args) {
          notes += 1;
          if (notes === 2) {
            asked.resolve();
            await written.promise;
          }
          await real.writeNote(...args);
        },
      }),
    });
    await submit();
    (await generator.call(1)).finish();
    await watch.untilCount('ImageReady', 1);
    const { id } = await submit();
    (await generator.call(2)).finish();
    await Promise.all([asked.promise, saved.promise]);
    for (let round = 0; round < 5; round += 1) await settled(journal);
    expect(watch.typesOf(id)).not.toContain('ImageReady');
    written.resolve();
    await watch.until('ImageReady', id);
    await submit();
    await generator.call(3);
    expect(await store.listNotes()).toEqual([]);
  });

  it('gives up what could be stored of the images when nobody waits for the rest', async () => {
    const tried = Promise.withResolvers<void>();
    const saved: string[] = [];
    const { submit, generator, watch, clock, journal, store } = await startRunner({
      store: (real) => ({
        ...real,
        async save(...args) {
          if (saved.length === 0) {
            const file = await real.save(...args);
            saved.push(file.imageId);
            return file;
          }
          tried.resolve();
          throw FULL();
        },
      }),
    });
    const { id } = await submit({ timeoutMs: 5000, spec: { numImages: 2 } });
    (await generator.call(1)).finish();
    await tried.promise;
    expect(await store.listNotes()).toHaveLength(1);
    await clock.advance(5000);
    await watch.until('AttemptEnded', id);
    expect((await journal.doomed({})).map(({ imageId }) => imageId)).toEqual(expect.arrayContaining(saved));
    expect(await store.listNotes()).toEqual([]);
  });

  it('does not fail the render when only the link to the latest image cannot be moved', async () => {
    const { submit, generator, watch, journal, lines } = await startRunner({
      store: (real) => ({ ...real, setLatest: () => Promise.reject(FULL()) }),
    });
    const { id } = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', id);
    await submit();
    await generator.call(2);
    expect((await find(journal, id)).status).toBe('succeeded');
    expect(lines).toMatchObject([{ level: 'warn', fields: { render_id: id } }]);
  });
});

describe('a journal that meets an error that nobody expected', () => {
  const ODD = () => new AppError('internal', 'The journal met an error that it did not expect.');
  /** Pauses between five tries of a call, in ms. */
  const PAUSES = [1000, 2000, 4000, 8000];
  /** Fails the calls of this name, as often as it is told to; lets the pauses between them pass. */
  const startOdd = async (name: 'finish' | 'beginAttempt', times: number, retries = 0) => {
    const failures = Array.from({ length: times }, () => Promise.withResolvers<void>());
    let tries = 0;
    const server = await startRunner({
      retries,
      journal: (real) => ({
        ...real,
        [name]: async (call: never) => {
          const failure = failures[tries];
          tries += 1;
          if (failure === undefined) return await real[name](call);
          failure.resolve();
          throw ODD();
        },
      }),
    });
    const pass = async (from: number, pauses: readonly number[]) => {
      for (const [at, ms] of pauses.entries()) {
        await failures[from + at]?.promise;
        await server.clock.advance(ms);
      }
    };
    return { ...server, pass };
  };

  it('is asked again, and the render stands', async () => {
    const { submit, generator, watch, pass } = await startOdd('finish', 3);
    const { id } = await submit();
    (await generator.call(1)).finish();
    await pass(0, PAUSES.slice(0, 3));
    await watch.until('ImageReady', id);
  });

  it('fails the render when it takes no images, and the slot is free', async () => {
    const { submit, generator, watch, pass } = await startOdd('finish', 5);
    const { id } = await submit();
    const next = await submit();
    (await generator.call(1)).finish();
    await pass(0, PAUSES);
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'internal' });
    (await generator.call(2)).finish();
    await watch.until('ImageReady', next.id);
  });

  it('fails each render by itself when it takes no end of the work at all', async () => {
    const { submit, generator, watch, pass, journal } = await startOdd('finish', 10);
    const { id } = await submit();
    const next = await submit();
    (await generator.call(1)).finish();
    await pass(0, PAUSES);
    await pass(5, PAUSES);
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'internal' });
    (await generator.call(2)).finish();
    await watch.until('ImageReady', next.id);
    expect((await find(journal, id)).attempts).toMatchObject([{ outcome: 'failed', error: { code: 'internal' } }]);
    expect(await journal.queueStats({})).toEqual([]);
  });

  it('fails each render by itself for as long as that takes, also those that come meanwhile, and others run', async () => {
    let broken = true;
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => void warnings.push(name);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const { submit, generator, watch, clock, journal, runner } = await startRunner({
      journal: (real) => ({
        ...real,
        finish: async (call) => (call.workId === poisoned ? Promise.reject(ODD()) : await real.finish(call)),
        settle: async (call) => (broken ? Promise.reject(ODD()) : await real.settle(call)),
      }),
    });
    const shared = { workId: 'poisoned', cacheKey: 'ab' };
    const poisoned = shared.workId;
    const waiting: RenderRecord[] = [];
    while (waiting.length < 12) waiting.push(await accept(journal, { ...shared, timeoutMs: 1e6 }));
    const next = await submit();
    (await generator.call(1)).fail(new AppError('upstream_failed', 'no paint'));
    // Five tries of the end of the work, and more of the ends of the renders than an end of the work gets.
    for (let tries = 0; tries < 14; tries += 1) {
      await settled(journal);
      await clock.advance(60_000);
    }
    (await generator.call(2)).finish();
    await watch.until('ImageReady', next.id);
    const late = await submit(shared);
    expect(late.status).toBe('running');
    runner.join(poisoned, { renderId: late.id, requestId: late.requestId, timeoutMs: 1e6, fallback: true, spentMs: 0 });
    broken = false;
    for (let rounds = 0; rounds < 2; rounds += 1) {
      await settled(journal);
      await clock.advance(60_000);
    }
    for (const { id } of [...waiting, late]) {
      expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'upstream_failed' });
    }
    await settled(journal);
    expect(await journal.queueStats({})).toEqual([]);
    expect((await submit({ cacheKey: 'ab' })).status).toBe('queued');
    expect(warnings).toEqual([]);
  });

  it('does not hold the server up when it stops, and the next start tells the end', async () => {
    const asked = Promise.withResolvers<void>();
    const { submit, generator, runner, journal } = await startRunner({
      journal: (real) => ({
        ...real,
        finish() {
          asked.resolve();
          return Promise.reject(ODD());
        },
      }),
    });
    const { id } = await submit();
    (await generator.call(1)).fail(new AppError('upstream_failed', 'no paint'));
    await asked.promise;
    await runner.drain(5000);
    expect((await find(journal, id)).status).toBe('running');
  });

  it('fails the render when it begins no further attempt', async () => {
    const { submit, generator, watch, pass, clock, journal } = await startOdd('beginAttempt', 5, 1);
    const { id } = await submit();
    (await generator.call(1)).fail(new AppError('upstream_failed', 'no paint'));
    await watch.until('AttemptEnded', id);
    await clock.advance(1000);
    await pass(0, PAUSES);
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'internal' });
    expect(await journal.queueStats({})).toEqual([]);
  });
});

describe('draining', () => {
  it('waits for what runs and takes nothing more', async () => {
    const { submit, generator, runner, journal, clock } = await startRunner();
    const first = await submit();
    const second = await submit();
    const step = await generator.call(1);
    const drained = runner.drain(5000);
    await clock.advance(4999);
    expect(step.hooks.signal.aborted).toBe(false);
    step.finish();
    await drained;
    expect((await find(journal, first.id)).status).toBe('succeeded');
    runner.wake('draw');
    await settled(journal);
    expect((await find(journal, second.id)).status).toBe('queued');
    expect(generator.calls.length).toBe(1);
  });

  it('hands back what takes longer', async () => {
    const { submit, generator, runner, journal, clock, watch } = await startRunner();
    const { id } = await submit();
    await generator.call(1);
    const drained = runner.drain(5000);
    await clock.advance(5000);
    await drained;
    expect(await find(journal, id)).toMatchObject({ status: 'queued', attempts: [{ outcome: 'released' }] });
    expect(watch.typesOf(id)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded']);
  });

  it('says that the job goes on of work that is cancelled while it is handed back', async () => {
    const { submit, generator, runner, journal, clock } = await startRunner();
    generator.stopsOnAbort = false;
    const { id, workId } = await submit();
    const { hooks, fail } = await generator.call(1);
    await hooks.onRemoteId('job-1');
    const drained = runner.drain(5000);
    await clock.advance(5000);
    await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
    const stopped = runner.stop(workId, STOP);
    fail(hooks.signal.reason);
    expect(await stopped).toBe('detached');
    await drained;
    expect((await find(journal, id)).attempts).toMatchObject([{ outcome: 'detached', remoteId: 'job-1' }]);
  });

  it('does not wait for ever for work that does not stop', async () => {
    const { submit, generator, runner, journal, clock } = await startRunner();
    generator.stopsOnAbort = false;
    const { id } = await submit();
    await generator.call(1);
    await clock.run(runner.drain(5000));
    expect((await find(journal, id)).status).toBe('running');
    expect(await recover(journal, { at: AT })).toEqual({
      requeued: 1,
      failed: 0,
    });
  });

  it('ends at once when nothing runs, and leaves no timers', async () => {
    const { runner, clock } = await startRunner();
    await runner.drain(5000);
    expect(clock.pending).toBe(0);
  });

  it.each([true, false])('hands back work whose claim was under way; with work waiting: %s', async (waiting) => {
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const { journal, generator, runner, clock } = await startRunner({
      journal: (real) => ({
        ...real,
        async claim(call) {
          const answer = await real.claim(call);
          asked.resolve();
          await gate.promise;
          return answer;
        },
      }),
    });
    const render = waiting ? await accept(journal) : undefined;
    runner.wake('draw');
    await asked.promise;
    const drained = runner.drain(5000);
    gate.resolve();
    await drained;
    expect(generator.calls.length).toBe(0);
    expect(clock.pending).toBe(0);
    if (render !== undefined) expect((await find(journal, render.id)).status).toBe('queued');
  });

  it('gives up writing an end that the journal does not take', async () => {
    const { submit, generator, runner, journal } = await startRunner({
      journal: (real) => ({ ...real, finish: () => Promise.reject(FULL()) }),
    });
    const { id } = await submit();
    const step = await generator.call(1);
    const drained = runner.drain(5000);
    step.finish();
    await drained;
    expect((await find(journal, id)).status).toBe('running');
  });
});
