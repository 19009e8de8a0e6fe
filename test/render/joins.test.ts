import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { accept, CANCELLED } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';
import { BOB, startStepped } from './service-fixtures.ts';

const EVE = { owner: 'eve', door: 'rest' } as const;
const PLACE = { era: 'modern', biome: 'river' };

describe('equal requests with a seed', () => {
  it('make one work, however many come at once, and each has its end', async () => {
    const { submit, generator, watch, renders } = await startStepped();
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, number) =>
        submit({ seed: 1, num_images: 2 }, { caller: { owner: `owner-${number}`, door: 'rest' } }),
      ),
    );
    (await generator.call(1)).finish();
    await watch.untilCount('ImageReady', 200);
    expect(generator.calls.length).toBe(1);
    const ends = watch.events.flatMap((event) => (event.type === 'ImageReady' ? [event] : []));
    for (const { render } of all) {
      const own = ends.filter(({ render_id }) => render_id === render.id);
      expect(own.map(({ index, of }) => [index, of])).toEqual([
        [0, 2],
        [1, 2],
      ]);
    }
    expect(new Set(ends.map(({ image_id }) => image_id)).size).toBe(2);
    // None of them was answered by stored images: they were there together.
    expect(ends.every(({ cached }) => !cached)).toBe(true);
    expect(await renders.get(all[99]?.render.id ?? '', 'owner-99')).toMatchObject({
      cached: false,
      attempts: [{ outcome: 'succeeded' }],
    });
    const uses = watch.events.flatMap((event) => (event.type === 'RenderQueued' ? [event.cache] : []));
    expect([uses.filter((use) => use === 'miss').length, uses.filter((use) => use === 'joined').length]).toEqual([
      1, 99,
    ]);
  });

  it('join what runs: each starts at once, hears the progress, and can be cancelled alone', async () => {
    const { submit, generator, watch, renders } = await startStepped();
    const heard: string[] = [];
    renders.subscribeProgress(({ render_id, step }) => heard.push(`${render_id} ${step}`));
    const ann = await submit({ seed: 1 });
    const step = await generator.call(1);
    const bob = await submit({ seed: 1 }, { caller: BOB });
    expect(bob.render.status).toBe('running');
    step.hooks.onProgress({ step: 1, steps: 3 });
    expect((await renders.cancel(ann.render.id, 'ann')).outcome).toBe('cancelled');
    expect(step.hooks.signal.aborted).toBe(false);
    step.hooks.onProgress({ step: 2, steps: 3 });
    expect(heard).toEqual([`${ann.render.id} 1`, `${bob.render.id} 1`, `${bob.render.id} 2`]);
    expect((await renders.get(bob.render.id, 'bob')).progress).toMatchObject({ step: 2 });

    expect((await renders.cancel(bob.render.id, 'bob')).outcome).toBe('cancelled');
    expect(step.hooks.signal.reason).toMatchObject({ code: 'cancelled' });
    expect(watch.typesOf(bob.render.id)).toEqual(['RenderQueued', 'RenderStarted', 'RenderCancelled']);
    expect(watch.events.filter(({ type }) => type === 'AttemptEnded')).toMatchObject([
      { render_id: ann.render.id, outcome: 'cancelled' },
    ]);
  });

  it('hear nothing after an end that overtook the answer to their joining', async () => {
    const { submit, generator, runner, journal, watch, progress } = await startRunner();
    const first = await submit({ cacheKey: 'ab'.repeat(32) });
    const step = await generator.call(1);
    const joined = await accept(journal, { cacheKey: 'ab'.repeat(32) });
    expect(joined.workId).toBe(first.workId);
    await journal.settle({ renderId: joined.id, status: 'cancelled', error: CANCELLED, at: 0 });
    const { id: renderId, requestId, timeoutMs, fallback } = joined;
    runner.join(joined.workId, { renderId, requestId, timeoutMs, fallback, spentMs: 0 });
    step.hooks.onProgress({ step: 1, steps: 2 });
    expect(progress.map(({ render_id }) => render_id)).toEqual([first.id]);
    step.finish();
    await watch.until('ImageReady', first.id);
  });

  it('have each their own time, from when they joined', async () => {
    const { submit, generator, clock, watch } = await startStepped();
    const first = await submit({ seed: 1, timeout_s: 10 });
    const step = await generator.call(1);
    await clock.advance(6000);
    const second = await submit({ seed: 1, timeout_s: 10 }, { caller: BOB });
    const third = await submit({ seed: 1, timeout_s: 2 }, { caller: EVE });
    await clock.advance(4000);
    for (const { render } of [third, first]) {
      expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'render_timeout' });
    }
    expect(step.hooks.signal.aborted).toBe(false);
    await clock.advance(5999);
    expect(step.hooks.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(await watch.until('RenderFailed', second.render.id)).toMatchObject({ code: 'render_timeout' });
    await watch.until('AttemptEnded', first.render.id);
    expect(step.hooks.signal.reason).toMatchObject({ code: 'render_timeout' });
  });

  it('lift the work to the place of the most urgent of them', async () => {
    const { submit, generator } = await startStepped();
    await submit({ prompt: 'busy' });
    const step = await generator.call(1);
    await submit({ prompt: 'patient', seed: 1 });
    await submit({ prompt: 'before' });
    await submit({ prompt: 'patient', seed: 1, priority: 5 }, { caller: BOB });
    step.finish();
    expect((await generator.call(2)).work.prompt).toBe('patient');
  });

  it('share a retry as well: who joins in the pause goes on with it', async () => {
    const { submit, generator, clock, watch } = await startStepped({ config: { generator: { retries: 1 } } });
    const first = await submit({ seed: 1 });
    (await generator.call(1)).fail(new AppError('upstream_failed', 'no paint'));
    await watch.until('AttemptEnded', first.render.id);
    const second = await submit({ seed: 1 }, { caller: BOB });
    await clock.advance(1000);
    (await generator.call(2)).finish();
    for (const { render } of [first, second]) await watch.until('ImageReady', render.id);
    expect(generator.calls.length).toBe(2);
  });

  it('fail together', async () => {
    const { submit, generator, watch } = await startStepped();
    const all = await Promise.all(Array.from({ length: 3 }, () => submit({ seed: 1 })));
    (await generator.call(1)).fail(new AppError('content_rejected', 'The provider refuses this.'));
    for (const { render } of all) {
      expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'content_rejected' });
    }
    // A failure answers nobody who comes later.
    await submit({ seed: 1 });
    await generator.call(2);
  });
});

describe('requests that are not equal', () => {
  it('are drawn each for itself: no seed, another seed, size, format or place, or cache = "off"', async () => {
    const { submit, renders } = await startStepped();
    await renders.pause();
    const requests = [
      {},
      {},
      { seed: 1 },
      { seed: 2 },
      { seed: 1, width: 128 },
      { seed: 1, output_format: 'webp' as const },
      { seed: 1, num_images: 2 },
      { seed: 1, ...PLACE },
      { seed: 1, cache: 'off' as const },
      { seed: 1, cache: 'refresh' as const },
      { seed: 1, generator: 'other' },
    ];
    const uses: Awaited<ReturnType<typeof submit>>[] = [];
    for (const request of requests) uses.push(await submit(request));
    const places = await Promise.all(uses.map(({ render }) => renders.get(render.id, 'ann')));
    const stepped = places.slice(0, -1).map(({ queue_position }) => queue_position);
    expect(stepped.toSorted((a = 0, b = 0) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // What says nothing of the image does not part them.
    const same = { seed: 1, priority: 3, timeout_s: 5, metadata: { a: 'b' }, fallback: false };
    await submit(same, { caller: EVE });
    const [stats] = (await renders.generators()).filter(({ name }) => name === 'stepped');
    expect(stats?.queued).toBe(10);
  });
});
