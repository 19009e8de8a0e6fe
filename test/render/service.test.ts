import { getEventListeners } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { GENERATOR_NAMES } from '../../src/generators/index.ts';
import { expectCode } from './journal-fixtures.ts';
import { ANN, BOB, CORE, startStepped } from './service-fixtures.ts';

const PLACE = { era: 'modern', biome: 'river' };

async function png(colour: string): Promise<string> {
  const image = sharp({ create: { width: 64, height: 64, channels: 3, background: colour } });
  return (await image.png().toBuffer()).toString('base64');
}

describe('submit', () => {
  it('knows a render that nobody named by the id that the server gave it', async () => {
    const { submit } = await startStepped();
    const { render } = await submit({ seed: 1 });
    const again = await submit({ seed: 1, request_id: render.id });
    expect(again).toMatchObject({ kind: 'known', render: { id: render.id } });
    const other = submit({ seed: 2, request_id: render.id });
    await expect(other).rejects.toMatchObject({ code: 'request_id_conflict' });
  });

  it('answers with the render, queued, and the generator gets what was asked for', async () => {
    const { submit, generator } = await startStepped();
    const { kind, render, replay } = await submit({ request_id: 'one', seed: 5, width: 100, num_images: 2, ...PLACE });
    expect(kind).toBe('accepted');
    expect(replay).toEqual([]);
    expect(render).toMatchObject({
      request_id: 'one',
      status: 'queued',
      generator: 'stepped',
      queue_position: 1,
      request: { prompt: 'a delta', seed: 5, width: 100, num_images: 2, ...PLACE },
      images: [],
    });
    const { work } = await generator.call(1);
    expect(work).toMatchObject({ seed: 5, width: 104, height: 64, numImages: 2, ...PLACE });
  });

  it('gives a render without a request_id its own id as one', async () => {
    const { submit } = await startStepped();
    const { render } = await submit();
    expect(render.request_id).toBe(render.id);
  });

  it('knows a request_id with the same body, while it waits, runs and is over', async () => {
    const { submit, generator, watch } = await startStepped();
    const first = await submit({ request_id: 'one' });
    const step = await generator.call(1);
    const again = await submit({ request_id: 'one' });
    expect(again).toMatchObject({ kind: 'known', replay: [], render: { id: first.render.id, status: 'running' } });
    step.finish();
    await watch.until('ImageReady', first.render.id);
    const late = await submit({ request_id: 'one' });
    expect(late.render).toMatchObject({ id: first.render.id, status: 'succeeded' });
    expect(late.replay.map(({ event }) => event)).toEqual([await watch.until('ImageReady', first.render.id)]);
    expect(generator.calls.length).toBe(1);
  });

  it('refuses a request_id with another body, also with another image', async () => {
    const { submit } = await startStepped();
    const [red, blue] = [await png('red'), await png('blue')];
    await submit({ request_id: 'one', depth_map: { image_data: red } });
    const same = await submit({ request_id: 'one', depth_map: { image_data: `data:image/png;base64,${red}` } });
    expect(same.kind).toBe('known');
    await expectCode(submit({ request_id: 'one', depth_map: { image_data: blue } }), 'request_id_conflict');
    await expectCode(submit({ request_id: 'one' }), 'request_id_conflict');
    const bobs = await submit({ request_id: 'one' }, { caller: BOB });
    expect(bobs.kind).toBe('accepted');
  });

  it('refuses when the queue is full, and says when to try again', async () => {
    const { submit, generator, clock, watch } = await startStepped({ config: { queue: { max_length: 1 } } });
    await submit();
    await generator.call(1);
    await submit();
    const refused = await submit().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'queue_full', retryAfterMs: 1000, retryable: true });

    await clock.advance(7000);
    generator.calls[0]?.finish();
    await watch.untilCount('ImageReady', 1);
    await generator.call(2);
    await submit();
    expect(await submit().catch((error: unknown) => error)).toMatchObject({ code: 'queue_full', retryAfterMs: 7000 });
  });

  it('refuses a generator that it does not know, and names those that it does', async () => {
    const { submit } = await startStepped();
    const error = await submit({ generator: 'oil' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'unknown_generator', issues: [{ path: 'generator' }] });
    for (const name of ['mock', 'stepped', 'other']) expect(String(error)).toContain(name);
  });

  it('refuses a disabled generator, with its reason, and takes the others', async () => {
    const { submit, generator, other } = await startStepped();
    generator.health = () => ({ state: 'disabled', reason: 'no key' });
    const error = await submit().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'generator_unavailable',
      message: 'The generator stepped is disabled: no key.',
    });
    await submit({ generator: 'other' });
    await other.call(1);
  });

  it('refuses in mode strict what it drops, and names, in mode tolerant', async () => {
    const { submit, generator } = await startStepped();
    await expectCode(submit({ style: 'ink' }), 'unsupported_field');
    const { render } = await submit({ style: 'ink', ...PLACE }, { mode: 'tolerant', ignored: ['width'] });
    expect(render.ignored).toEqual(['width', 'style']);
    expect((await generator.call(1)).work.style).toBeUndefined();
  });

  it('reads files for the bus only', async () => {
    const { submit } = await startStepped();
    await expectCode(submit({ depth_map: { uri: '/srv/depth.png' } }), 'uri_not_allowed');
    await expectCode(submit({ depth_map: { uri: '/srv/depth.png' } }, { mode: 'tolerant' }), 'uri_not_allowed');
  });

  it('makes the bus’s default format for the bus and PNG elsewhere', async () => {
    const { submit, generator, watch } = await startStepped();
    const rest = await submit();
    const bus = await submit(PLACE, { caller: CORE, mode: 'tolerant' });
    for (const number of [1, 2]) (await generator.call(number)).finish();
    expect(await watch.until('ImageReady', rest.render.id)).toMatchObject({ format: 'png' });
    expect(await watch.until('ImageReady', bus.render.id)).toMatchObject({ format: 'jpeg' });
  });
});

describe('clear_queue', () => {
  it('supersedes what waits and runs of the same owner, door and generator only', async () => {
    const { submit, generator, other, watch, renders } = await startStepped();
    const running = await submit();
    const step = await generator.call(1);
    const waiting = await submit();
    const bobs = await submit({}, { caller: BOB });
    const onTheBus = await submit(PLACE, { caller: { ...ANN, door: 'bus' } });
    const others = await submit({ generator: 'other' });
    await other.call(1);
    const newest = await submit({ clear_queue: true });

    for (const { render } of [running, waiting]) {
      expect(await watch.until('RenderCancelled', render.id)).toMatchObject({ code: 'superseded' });
      expect((await renders.get(render.id, 'ann')).error).toMatchObject({ code: 'superseded' });
    }
    expect(step.hooks.signal.reason).toMatchObject({ code: 'superseded' });
    await watch.until('AttemptEnded', running.render.id);
    for (const { render } of [bobs, onTheBus, others]) {
      expect(['queued', 'running']).toContain((await renders.get(render.id, 'ann')).status);
    }
    // The bus's goes first, then what came first.
    for (const [index, { render }] of [onTheBus, bobs, newest].entries()) {
      (await generator.call(index + 2)).finish();
      await watch.until('ImageReady', render.id);
    }
    expect(generator.calls.length).toBe(4);
  });

  it('cancels nothing when the newer request is refused', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    const { render } = await submit({ request_id: 'one' });
    await generator.call(1);
    const clear = { clear_queue: true };
    await expectCode(submit({ ...clear, era: 'atlantis' }), 'invalid_request');
    await expectCode(submit({ ...clear, style: 'ink' }), 'unsupported_field');
    await expectCode(submit({ ...clear, depth_map: { image_data: 'AAAA' } }), 'invalid_image');
    await expectCode(submit({ ...clear, generator: 'oil' }), 'unknown_generator');
    await expectCode(submit({ ...clear, request_id: 'one' }), 'request_id_conflict');
    expect((await renders.get(render.id, 'ann')).status).toBe('running');
    expect(watch.events.some(({ type }) => type === 'RenderCancelled')).toBe(false);
  });

  it('lets exactly the newest of many finish', async () => {
    const { submit, generator, watch, renders } = await startStepped();
    const all = await Promise.all(Array.from({ length: 20 }, () => submit({ clear_queue: true })));
    await watch.untilCount('RenderCancelled', 19);
    const statuses = await Promise.all(all.map(async ({ render }) => await renders.get(render.id, 'ann')));
    const left = statuses.filter(({ status }) => status !== 'cancelled');
    expect(left.length).toBe(1);
    const finishing = (async () => {
      for (let number = 1; ; number += 1) (await generator.call(number)).finish();
    })();
    await Promise.race([watch.until('ImageReady', left[0]?.id), finishing]);
    await expect(renders.wait(left[0]?.id ?? '', 'ann', 0)).resolves.toMatchObject({ status: 'succeeded' });
  });
});

describe('cancel', () => {
  it('of a queued render ends it, and no generator ever gets it', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    const first = await submit();
    const step = await generator.call(1);
    const { render } = await submit({ prompt: 'unwanted' });
    const cancelled = await renders.cancel(render.id, 'ann');
    expect(cancelled).toMatchObject({
      outcome: 'cancelled',
      render: { status: 'cancelled', error: { code: 'cancelled' }, attempts: [] },
    });
    expect(await watch.until('RenderCancelled', render.id)).toMatchObject({ code: 'cancelled' });
    await submit({ prompt: 'wanted' });
    step.finish();
    await watch.until('ImageReady', first.render.id);
    expect((await generator.call(2)).work.prompt).toBe('wanted');
  });

  it('of a running render ends it and stops its work', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    const { render } = await submit({ request_id: 'one' });
    const next = await submit({ prompt: 'next' });
    const { hooks } = await generator.call(1);
    expect((await renders.cancel('one', 'ann')).outcome).toBe('cancelled');
    expect(hooks.signal.reason).toMatchObject({ code: 'cancelled' });
    expect(await watch.until('AttemptEnded', render.id)).toMatchObject({ outcome: 'cancelled', code: 'cancelled' });
    (await generator.call(2)).finish();
    await watch.until('ImageReady', next.render.id);
    expect(watch.typesOf(render.id)).toEqual(['RenderQueued', 'RenderStarted', 'RenderCancelled', 'AttemptEnded']);
  });

  it('of a running render ends it at once, and its slot is free when the work has stopped', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    generator.stopsOnAbort = false;
    const { render } = await submit();
    const step = await generator.call(1);
    const next = await submit({ prompt: 'next' });
    const cancelled = renders.cancel(render.id, 'ann');
    await watch.until('RenderCancelled', render.id);
    await renders.generators();
    expect(step.hooks.signal.aborted).toBe(true);
    // Whatever would start does so within these answers: the journal keeps the order of its calls.
    await renders.generators();
    expect(generator.calls.length).toBe(1);
    expect((await renders.get(next.render.id, 'ann')).status).toBe('queued');

    step.finish();
    expect((await cancelled).render.status).toBe('cancelled');
    expect((await generator.call(2)).work.prompt).toBe('next');
    expect(watch.typesOf(render.id).at(-1)).toBe('AttemptEnded');
    expect((await renders.get(render.id, 'ann')).images).toEqual([]);
  });

  it('says that the provider may go on, when the generator says so or does not stop in time', async () => {
    const { submit, generator, renders, clock, watch } = await startStepped();
    const first = await submit();
    const { hooks } = await generator.call(1);
    hooks.onDetached();
    expect((await renders.cancel(first.render.id, 'ann')).outcome).toBe('detached');
    expect((await renders.get(first.render.id, 'ann')).attempts).toMatchObject([{ outcome: 'detached' }]);

    generator.stopsOnAbort = false;
    const second = await submit();
    const step = await generator.call(2);
    await step.hooks.onRemoteId('job-2');
    const cancelled = renders.cancel(second.render.id, 'ann');
    await watch.until('RenderCancelled', second.render.id);
    await renders.generators();
    await clock.advance(2000);
    expect((await cancelled).outcome).toBe('detached');
    step.fail(step.hooks.signal.reason);
  });

  it('says so when the render is over already', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    const { render } = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', render.id);
    for (let times = 0; times < 2; times += 1) {
      const late = await renders.cancel(render.id, 'ann');
      expect(late).toMatchObject({ outcome: 'already_done', render: { status: 'succeeded' } });
    }
    expect(watch.events.some(({ type }) => type === 'RenderCancelled')).toBe(false);
  });

  it('is idempotent, also at the same time', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    const { render } = await submit();
    await generator.call(1);
    const answers = await Promise.all(Array.from({ length: 10 }, () => renders.cancel(render.id, 'ann')));
    expect(answers.filter(({ outcome }) => outcome === 'cancelled').length).toBe(1);
    for (const answer of answers) expect(answer.render.status).toBe('cancelled');
    expect(watch.events.filter(({ type }) => type === 'RenderCancelled').length).toBe(1);
  });

  it('and completion at the same time make one end', async () => {
    const { submit, generator, renders, watch } = await startStepped();
    for (let number = 1; number <= 10; number += 1) {
      const { render } = await submit();
      const step = await generator.call(number);
      step.finish();
      const { outcome } = await renders.cancel(render.id, 'ann');
      await watch.until('AttemptEnded', render.id);
      const { status } = await renders.get(render.id, 'ann');
      expect(status).toBe(outcome === 'cancelled' ? 'cancelled' : 'succeeded');
      const ends = watch.typesOf(render.id).filter((type) => type === 'ImageReady' || type === 'RenderCancelled');
      expect(ends.length).toBe(1);
    }
  });

  it('of what is not there is refused', async () => {
    const { renders } = await startStepped();
    await expectCode(renders.cancel('nothing', 'ann'), 'render_not_found');
    await expectCode(renders.get('nothing', 'ann'), 'render_not_found');
  });
});

describe('an end', () => {
  it('by the time limit of the request fails the render, whatever the generator does', async () => {
    const { submit, generator, renders, clock, watch } = await startStepped();
    generator.stopsOnAbort = false;
    const { render } = await submit({ timeout_s: 2.5 });
    const step = await generator.call(1);
    await clock.advance(2500);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'render_timeout', retryable: true });
    step.finish();
    expect(await watch.until('AttemptEnded', render.id)).toMatchObject({ outcome: 'timeout' });
    expect(await renders.get(render.id, 'ann')).toMatchObject({
      status: 'failed',
      error: { code: 'render_timeout' },
      images: [],
      attempts: [{ outcome: 'timeout' }],
    });
  });

  it('by the time limit of the generator comes to requests that set none', async () => {
    const { submit, generator, clock, watch } = await startStepped({ config: { generator: { timeout: 9 } } });
    const { render } = await submit();
    await generator.call(1);
    await clock.advance(8999);
    expect(watch.typesOf(render.id)).toEqual(['RenderQueued', 'RenderStarted']);
    await clock.advance(1);
    await watch.until('RenderFailed', render.id);
  });

  it('shows callers the public message only', async () => {
    const { submit, generator, renders, watch, app } = await startStepped();
    const { render } = await submit();
    (await generator.call(1)).fail(new Error('password at /srv/secret'));
    await watch.until('RenderFailed', render.id);
    const shown = await renders.get(render.id, 'ann');
    expect(shown.error).toMatchObject({ code: 'internal', retryable: true });
    expect(JSON.stringify([shown, watch.events])).not.toContain('/srv/secret');
    expect(JSON.stringify(app.lines)).toContain('/srv/secret');

    const second = await submit();
    (await generator.call(2)).fail(new AppError('generator_failed', 'No paint left.', { retryable: false }));
    expect(await watch.until('RenderFailed', second.render.id)).toMatchObject({
      code: 'generator_failed',
      message: 'No paint left.',
      retryable: false,
    });
  });
});

describe('wait', () => {
  it('returns when the render is over', async () => {
    const { submit, generator, renders } = await startStepped();
    const { render } = await submit({ request_id: 'one', num_images: 3 });
    const waiting = [renders.wait(render.id, 'ann', 60_000), renders.wait('one', 'ann', 60_000)];
    (await generator.call(1)).finish();
    for (const over of await Promise.all(waiting)) {
      expect(over).toMatchObject({ id: render.id, status: 'succeeded', images: [{}, {}, {}] });
    }
    // Nothing is left to wait for.
    expect((await renders.wait(render.id, 'ann', 60_000)).status).toBe('succeeded');
  });

  it('returns for every kind of end', async () => {
    const { submit, generator, renders } = await startStepped();
    const failing = await submit();
    const failed = renders.wait(failing.render.id, 'ann', 60_000);
    (await generator.call(1)).fail(new Error('no'));
    expect((await failed).status).toBe('failed');
    const { render } = await submit();
    const cancelled = renders.wait(render.id, 'ann', 60_000);
    await renders.cancel(render.id, 'ann');
    expect((await cancelled).status).toBe('cancelled');
  });

  it('returns the render as it is when the time is over', async () => {
    const { submit, generator, renders, clock } = await startStepped();
    generator.health = () => ({ state: 'starting' });
    const { render } = await submit();
    const before = clock.pending;
    // Less than from one look at the disks to the next.
    const waiting = renders.wait(render.id, 'ann', 9000);
    while (clock.pending === before) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(9000);
    expect((await waiting).status).toBe('queued');
    expect(clock.pending).toBe(before);
  });

  it('returns when its caller leaves, before or while it waits, and cancels nothing', async () => {
    const { submit, generator, renders, clock } = await startStepped();
    const { render } = await submit();
    await generator.call(1);
    expect((await renders.wait(render.id, 'ann', 60_000, AbortSignal.abort())).status).toBe('running');
    const leaving = new AbortController();
    const before = clock.pending;
    const waiting = renders.wait(render.id, 'ann', 60_000, leaving.signal);
    while (clock.pending === before) await new Promise((resolve) => setImmediate(resolve));
    leaving.abort();
    expect((await waiting).status).toBe('running');
    expect(clock.pending).toBe(before);
  });

  it('for what is not there is refused', async () => {
    const { renders } = await startStepped();
    await expectCode(renders.wait('nothing', 'ann', 60_000), 'render_not_found');
  });
});

describe('a render', () => {
  it('shows its progress while it runs', async () => {
    const { submit, generator, renders } = await startStepped();
    const { render } = await submit();
    const { hooks, finish } = await generator.call(1);
    hooks.onProgress({ step: 3, steps: 4 });
    const running = await renders.get(render.id, 'ann');
    expect(running).toMatchObject({ status: 'running', progress: { step: 3, steps: 4, fraction: 0.75 } });
    expect(running.queue_position).toBeUndefined();
    finish();
    const over = await renders.wait(render.id, 'ann', 60_000);
    expect(over.progress).toBeUndefined();
    expect(over).toMatchObject({ started_at: expect.any(String), finished_at: expect.any(String), timings: {} });
  });

  it('echoes its metadata', async () => {
    const { submit } = await startStepped();
    expect((await submit({ metadata: { scene: 'two' } })).render.metadata).toEqual({ scene: 'two' });
    expect((await submit()).render.metadata).toEqual({});
  });
});

describe('images and generators', () => {
  it('finds an image that was made here and no other', async () => {
    const { submit, generator, renders } = await startStepped();
    const { render } = await submit();
    (await generator.call(1)).finish();
    const [image] = (await renders.wait(render.id, 'ann', 60_000)).images;
    expect(await renders.image(image?.image_id ?? '')).toMatchObject({ format: 'png', width: 64, height: 64 });
    await expectCode(renders.image('f'.repeat(64)), 'image_not_found');
  });

  it('lists generators with what waits and runs', async () => {
    const { submit, generator, renders } = await startStepped();
    await submit();
    await submit();
    await generator.call(1);
    const list = await renders.generators();
    expect(list.map(({ name }) => name)).toEqual([...GENERATOR_NAMES, 'stepped', 'other']);
    expect(list.find(({ name }) => name === 'stepped')).toMatchObject({
      default: true,
      state: 'ready',
      queued: 1,
      running: 1,
      concurrency: 1,
      fields: ['negative_prompt', 'depth_map'],
      capabilities: { controlnet_depth: true, image_to_image: false, negative_prompts: true, batch: true },
    });
    expect(list.find(({ name }) => name === 'mock')).toMatchObject({ default: false, queued: 0, running: 0 });
  });
});

describe('a request that was accepted before', () => {
  it('is known although its input file is gone by now', async () => {
    const { app, renders, submit, generator } = await startStepped({ config: { inputs: { file_roots: ['/'] } } });
    const file = join(app.dir, 'depth.png');
    await writeFile(file, Buffer.from(await png('grey'), 'base64'));
    const caller = CORE;
    const request = { request_id: 'once', depth_map: { uri: `file://${file}` }, ...PLACE };
    const first = await submit(request, { caller, mode: 'tolerant' });
    (await generator.call(1)).finish();
    await renders.wait(first.render.id, 'bus', 60_000);
    await rm(file);
    const again = await submit(request, { caller, mode: 'tolerant' });
    expect(again).toMatchObject({
      kind: 'known',
      render: { id: first.render.id },
      replay: [{ event: { type: 'ImageReady' } }],
    });
    const other = { ...request, prompt: 'another' };
    await expectCode(submit(other, { caller, mode: 'tolerant' }), 'uri_not_allowed');
  });

  it('is another one with an input image that cannot be read', async () => {
    const { submit } = await startStepped();
    const request = { request_id: 'once', depth_map: { image_data: await png('grey') } };
    await submit(request);
    const damaged = { ...request, depth_map: { image_data: Buffer.from('no image').toString('base64') } };
    await expectCode(submit(damaged), 'invalid_image');
  });

  it('leaves nothing behind on the signal of one who waited', async () => {
    const { renders, submit, generator } = await startStepped();
    const { render } = await submit();
    const leaving = new AbortController();
    const waiting = renders.wait(render.id, 'ann', 60_000, leaving.signal);
    (await generator.call(1)).finish();
    await waiting;
    expect(getEventListeners(leaving.signal, 'abort')).toEqual([]);
  });
});
