import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { AppErrorOptions, ErrorCode } from '../../src/errors.ts';
import { AppError } from '../../src/errors.ts';
import type { ServedGenerator } from '../../src/generators/generator.ts';
import { createFallbacks } from '../../src/render/fallbacks.ts';
import type { Journal } from '../../src/render/journal.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { find, newRender } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';
import { startStepped } from './service-fixtures.ts';

const failure = (code: ErrorCode = 'upstream_failed', options?: AppErrorOptions) =>
  new AppError(code, 'no paint', options);

describe('those who may answer in the place of another one', () => {
  const { spec } = newRender();
  /** Generators `a`, `b` and `c`, and what a test changes of them. */
  const create = (chain: readonly string[], changes: Record<string, object> = {}, open: readonly string[] = []) => {
    const served = (name: string): ServedGenerator => {
      const generator = Object.assign(new SteppedGenerator(name), changes[name]);
      return { generator, concurrency: 1, timeoutMs: 1000 };
    };
    return createFallbacks({
      chain: chain.map((name) => {
        const [generator = name, model] = name.split('/');
        return { generator, model };
      }),
      generators: new Map(['a', 'b', 'c'].map((name) => [name, served(name)])),
      breakerOf: (name) => ({ refusal: open.includes(name) ? failure('generator_unavailable') : undefined }),
    });
  };
  const capabilities = new SteppedGenerator().capabilities;
  const names = (choices: readonly { generator: string }[]) => choices.map(({ generator }) => generator);

  it('are those of the chain, in its order, that have not tried yet', () => {
    const { candidates } = create(['c', 'a', 'nearest', 'b']);
    expect(names(candidates(failure(), spec, new Set(['a'])))).toEqual(['c', 'nearest', 'b']);
    expect(names(candidates(failure(), spec, new Set(['a', 'b', 'c', 'nearest'])))).toEqual([]);
  });

  it('can make so many images, have what they require, are there, enabled, and not left alone', () => {
    const { candidates, hasFor } = create(
      ['a', 'b', 'c', 'gone', 'c/no-such-model'],
      {
        a: { capabilities: { ...capabilities, maxImages: 1 } },
        b: { capabilities: { ...capabilities, required: new Set(['depth_map']) } },
      },
      ['c'],
    );
    expect(names(candidates(failure(), { ...spec, depthMap: 'd' }, new Set()))).toEqual(['a', 'b']);
    expect(names(candidates(failure(), { ...spec, numImages: 2 }, new Set()))).toEqual([]);
    expect(names(candidates(failure(), spec, new Set()))).toEqual(['a']);
    expect(hasFor('a', { ...spec, numImages: 2 })).toBe(false);
    expect(hasFor('a', spec)).toBe(false);
    expect(hasFor('b', spec)).toBe(true);
    const disabled = create(['a'], { a: { health: () => ({ state: 'disabled' }) } });
    expect(names(disabled.candidates(failure(), spec, new Set()))).toEqual([]);
  });

  it.each(['content_rejected', 'render_timeout', 'invalid_image', 'image_evicted'] as const)(
    'are none after %s',
    (code) => {
      expect(create(['a', 'b', 'nearest']).candidates(failure(code), spec, new Set())).toEqual([]);
    },
  );

  it('get the work without what they cannot honour, in a size that they render, under a key of their own', () => {
    const fallbacks = create(['a'], {
      a: { sizes: { default: { width: 512, height: 512 }, min: 512, max: 512, multipleOf: 64 }, revision: 'a-2' },
    });
    const asked = { ...spec, style: 'ink', negativePrompt: 'fog', steps: 3 };
    const to = fallbacks.fit({ spec: asked, shared: true }, { generator: 'a' });
    expect(to).toMatchObject({
      generator: 'a',
      ignored: ['steps', 'style'],
      cacheKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(to?.spec).toMatchObject({ width: 512, height: 512, negativePrompt: 'fog', seed: spec.seed });
    expect(to?.spec.style).toBeUndefined();
    expect(to?.spec.steps).toBeUndefined();
    expect(fallbacks.fit({ spec: asked, shared: false }, { generator: 'a' })?.cacheKey).toBeUndefined();
  });

  it('lose the seed where none counts, and then the images are nobody else’s', () => {
    const fallbacks = create(['a'], { a: { capabilities: { ...capabilities, seeds: false } } });
    const to = fallbacks.fit({ spec: { ...spec, style: 'ink' }, shared: true }, { generator: 'a' });
    expect(to).toMatchObject({ ignored: ['style', 'seed'] });
    expect(to?.cacheKey).toBeUndefined();
  });

  it('are each model of a generator by itself', () => {
    const models = new Map(['fast', 'fine'].map((name) => [name, { capabilities, sizes: SQUARE }]));
    const { candidates } = create(['a/fast', 'a/fine', 'a'], { a: { models } });
    const choices = (...tried: string[]) => candidates(failure(), spec, new Set(tried)).map(({ model }) => model);
    expect(choices('a/fast')).toEqual(['fine', undefined]);
    expect(choices('a', 'a/fine')).toEqual(['fast']);
  });

  it('may be models of a generator, with what those can do', () => {
    const models = new Map([['fast', { capabilities: { ...capabilities, fields: new Set() }, sizes: SQUARE }]]);
    const fallbacks = create(['a/fast'], { a: { models } });
    const asked = { ...spec, negativePrompt: 'fog', model: 'slow' };
    const [choice] = fallbacks.candidates(failure(), asked, new Set());
    expect(choice).toEqual({ generator: 'a', model: 'fast' });
    expect(choice && fallbacks.fit({ spec: asked, shared: false }, choice)).toMatchObject({
      ignored: ['negative_prompt'],
      spec: { model: 'fast', width: 256, height: 256 },
    });
  });
});

const SQUARE = { default: { width: 256, height: 256 }, min: 256, max: 256, multipleOf: 8 };

describe('a fallback', () => {
  it('answers where the retries are used up, and says so everywhere', async () => {
    const { submit, generator, other, watch, renders, app, clock } = await startStepped({
      config: { generator: { retries: 1, fallback: ['other'] } },
    });
    const { render } = await submit({ steps: undefined, seed: 5 });
    (await generator.call(1)).fail(failure());
    await watch.untilCount('AttemptEnded', 1);
    await clock.advance(1000);
    (await generator.call(2)).fail(failure());
    const step = await other.call(1);
    expect(step.work).toMatchObject({ seed: 5, prompt: 'a delta', workId: step.work.workId });
    step.finish();
    expect(await watch.until('ImageReady', render.id)).toMatchObject({ generator: 'other', fallback_from: 'stepped' });
    const ended = await renders.get(render.id, 'ann');
    expect(ended).toMatchObject({
      status: 'succeeded',
      generator: 'other',
      fallback_from: 'stepped',
      attempts: [
        { generator: 'stepped', outcome: 'failed' },
        { generator: 'stepped', outcome: 'failed' },
        { generator: 'other', outcome: 'succeeded' },
      ],
    });
    const started = watch.events.filter(({ type }) => type === 'RenderStarted');
    expect(started).toMatchObject([{ generator: 'stepped' }, { generator: 'other', fallback_from: 'stepped' }]);
    const ends = watch.events.filter(({ type }) => type === 'AttemptEnded');
    expect(ends.map((event) => 'fallback_to' in event)).toEqual([false, true, false]);
    expect(ends[1]).toMatchObject({ fallback_to: 'other', code: 'upstream_failed' });
    const metrics = (await app.call('GET', '/metrics')).body;
    expect(String(metrics)).toMatch(/fallbacks_total\{[^}]*\} 1/);
    expect(app.lines.some(({ msg }) => msg === 'a fallback answers')).toBe(true);
    // What it made answers later requests to it, and none to the generator that failed.
    expect((await submit({ seed: 5, generator: 'other' })).render).toMatchObject({ status: 'succeeded', cached: true });
    expect((await submit({ seed: 5 })).render.status).toBe('queued');
  });

  it('does not answer a request that wants none, nor one whose content is refused', async () => {
    const { submit, generator, other, watch } = await startRunner({ fallback: ['other', 'nearest'] });
    const strict = await submit({ fallback: false });
    (await generator.call(1)).fail(failure());
    expect(await watch.until('RenderFailed', strict.id)).toMatchObject({ code: 'upstream_failed', generator: 'draw' });
    const rude = await submit();
    (await generator.call(2)).fail(failure('content_rejected'));
    expect(await watch.until('RenderFailed', rude.id)).toMatchObject({ code: 'content_rejected' });
    expect(other.calls).toEqual([]);
  });

  it('goes on for those who allow it, and the others fail', async () => {
    const { submit, generator, other, watch, renders } = await startStepped({
      config: { generator: { fallback: ['other'] } },
    });
    const first = await submit({ seed: 1, fallback: false });
    await generator.call(1);
    const second = await submit({ seed: 1 });
    const third = await submit({ seed: 1, fallback: false });
    generator.calls[0]?.fail(failure());
    for (const { render } of [first, third]) {
      expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'upstream_failed' });
    }
    (await other.call(1)).finish();
    expect(await watch.until('ImageReady', second.render.id)).toMatchObject({ fallback_from: 'stepped' });
    expect((await renders.get(first.render.id, 'ann')).fallback_from).toBeUndefined();
  });

  it('that fails as well hands on to the next one; the last one’s error is the render’s', async () => {
    const { submit, generator, other, watch, journal } = await startRunner({ fallback: ['draw', 'other', 'nearest'] });
    const { id } = await submit();
    (await generator.call(1)).fail(failure('upstream_timeout'));
    (await other.call(1)).fail(failure('generator_failed'));
    // No image was ever made: there is nothing near.
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'generator_failed', generator: 'other' });
    expect((await find(journal, id)).attempts).toMatchObject([
      { generator: 'draw', error: { code: 'upstream_timeout' } },
      { generator: 'other', error: { code: 'generator_failed' } },
    ]);
  });

  it('has what is left of the render’s time, also while the work waits for it', async () => {
    const { submit, generator, other, clock, watch, renders } = await startStepped({
      config: { generator: { fallback: ['other'] } },
    });
    const busy = await submit({ generator: 'other' });
    await other.call(1);
    const first = await submit({ timeout_s: 10 });
    const second = await submit({ timeout_s: 20 });
    await generator.call(1);
    await clock.advance(4000);
    generator.calls[0]?.fail(failure());
    (await generator.call(2)).fail(failure());
    await watch.untilCount('AttemptEnded', 2);
    expect(await renders.get(first.render.id, 'ann')).toMatchObject({ status: 'queued', generator: 'other' });
    await clock.advance(5000);
    other.calls[0]?.finish();
    await watch.until('ImageReady', busy.render.id);
    await other.call(2);
    // 9 of the 10 s are gone, wherever they were spent.
    await clock.advance(999);
    expect((await renders.get(first.render.id, 'ann')).status).toBe('running');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', first.render.id)).toMatchObject({ code: 'render_timeout' });
    (await other.call(3)).finish();
    await watch.until('ImageReady', second.render.id);
  });

  it('that never comes free ends the render when its time is over', async () => {
    const { submit, generator, other, clock, watch, renders } = await startStepped({
      config: { generator: { fallback: ['other'] } },
    });
    await submit({ generator: 'other' });
    await other.call(1);
    const { render } = await submit({ timeout_s: 10 });
    (await generator.call(1)).fail(failure());
    await watch.until('AttemptEnded', render.id);
    // The look at who waits is asked for after the event, and answered before these.
    await new Promise((resolve) => setImmediate(resolve));
    await renders.generators();
    await clock.advance(9999);
    expect(watch.typesOf(render.id)).not.toContain('RenderFailed');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({
      code: 'render_timeout',
      message: 'The time of the render ended while it waited for a fallback.',
    });
  });

  it('can be stopped although it took the work up before the first generator was done with it', async () => {
    let takeUp = async () => {};
    const { submit, generator, other, runner, journal, clock } = await startRunner({
      fallback: ['other'],
      journal: (real): Journal => ({
        ...real,
        async fallBack(call) {
          const handed = await real.fallBack(call);
          await takeUp();
          return handed;
        },
      }),
    });
    takeUp = async () => {
      runner.wake('other');
      await other.call(1);
    };
    const { id, workId } = await submit();
    (await generator.call(1)).fail(failure());
    const step = await other.call(1);
    // Whatever the first lane still does, it does within this answer.
    await find(journal, id);
    expect(runner.statsOf('other').running).toBe(1);
    await runner.stop(workId, failure('cancelled'));
    expect(step.hooks.signal.reason).toMatchObject({ code: 'cancelled' });
    expect(clock.pending).toBe(0);
  });
});

describe('the stored image that is nearest', () => {
  const start = async () => {
    const server = await startStepped({ config: { generator: { fallback: ['nearest'] } } });
    let calls = 0;
    const draw = async (request: Parameters<typeof server.submit>[0]) => {
      const { render } = await server.submit(request);
      calls += 1;
      (await server.generator.call(calls)).finish();
      return await server.watch.until('ImageReady', render.id);
    };
    const miss = async (request: Parameters<typeof server.submit>[0]) => {
      const { render } = await server.submit(request);
      calls += 1;
      (await server.generator.call(calls)).fail(failure());
      return await server.renders.wait(render.id, 'ann', 60_000);
    };
    return { ...server, draw, miss };
  };

  it('answers in the place of one that cannot be made, and says so', async () => {
    const { draw, miss, watch, submit } = await start();
    const far = await draw({ prompt: 'a city', era: 'future', biome: 'desert', seed: 1 });
    const near = await draw({ prompt: 'a city', era: 'modern', biome: 'river', seed: 2 });
    const render = await miss({ prompt: 'a town', era: 'modern', biome: 'river', seed: 3 });
    expect(render).toMatchObject({
      status: 'succeeded',
      generator: 'nearest',
      fallback_from: 'stepped',
      images: [{ image_id: near.image_id, seed: 2 }],
      attempts: [{ generator: 'stepped', outcome: 'failed', error: { code: 'upstream_failed' } }],
    });
    expect(far.image_id).not.toBe(near.image_id);
    expect(await watch.until('ImageReady', render.id)).toMatchObject({
      generator: 'nearest',
      fallback_from: 'stepped',
      prompt: 'a town',
    });
    // It stands in once; it is not what was asked for.
    const again = await submit({ prompt: 'a town', era: 'modern', biome: 'river', seed: 3 });
    expect(again.render).toMatchObject({ status: 'queued', cached: false });
  });

  it('is repeated when more images are wanted than there are, and fails when there are none', async () => {
    const { draw, miss } = await start();
    expect(await miss({ num_images: 2 })).toMatchObject({ status: 'failed', error: { code: 'upstream_failed' } });
    const only = await draw({ seed: 1 });
    const { images } = await miss({ num_images: 3 });
    expect(images.map(({ image_id }) => image_id)).toEqual(Array(3).fill(only.image_id));
  });

  it('is none when it cannot be looked for, and work goes on', async () => {
    const { submit, generator, watch, lines } = await startRunner({
      fallback: ['nearest'],
      store: (real) => ({ ...real, has: () => Promise.reject(failure('storage_failed')) }),
    });
    const drawn = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', drawn.id);
    const missed = await submit();
    (await generator.call(2)).fail(failure());
    expect(await watch.until('RenderFailed', missed.id)).toMatchObject({ code: 'upstream_failed' });
    expect(lines.map(({ message }) => message)).toContain('a stored image could not be looked for');
    await submit();
    await generator.call(3);
  });

  it('is another one when its file is gone', async () => {
    const { draw, miss, app } = await start();
    const kept = await draw({ prompt: 'a city', era: 'future', seed: 1 });
    const gone = await draw({ prompt: 'a city', era: 'modern', seed: 2 });
    await rm(new URL(gone.uri ?? ''));
    expect(await miss({ prompt: 'a city', era: 'modern' })).toMatchObject({ images: [{ image_id: kept.image_id }] });
    await rm(`${app.dir}/images/renders`, { recursive: true });
    expect(await miss({ prompt: 'a city' })).toMatchObject({ status: 'failed' });
  });
});
