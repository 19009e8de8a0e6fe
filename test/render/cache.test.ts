import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { RenderRequest } from '../../src/messages/render-request.ts';
import type { ConfigChanges } from '../helper.ts';
import { temporaryDir } from '../helper.ts';
import { BOB, startStepped } from './service-fixtures.ts';

/** A server with a way to have requests drawn, and a count of what was. */
async function start(config: ConfigChanges = {}, dir?: string) {
  const server = await startStepped({ config, ...(dir === undefined ? {} : { dir }) });
  const { submit, generator, watch, renders } = server;
  const draw = async (request: Partial<RenderRequest>) => {
    const next = generator.calls.length + 1;
    const { render } = await submit(request);
    (await generator.call(next)).finish();
    await watch.until('ImageReady', render.id);
    return await renders.get(render.id, 'ann');
  };
  return { ...server, draw };
}

describe('stored images', () => {
  it('answer an equal request at once, with the normal events, whoever asks', async () => {
    const { draw, submit, generator, watch, renders } = await start();
    const first = await draw({ seed: 1, num_images: 2 });
    const { kind, render } = await submit({ seed: 1, num_images: 2, priority: 3 }, { caller: BOB });
    expect(kind).toBe('accepted');
    expect(render).toMatchObject({ status: 'succeeded', cached: true, attempts: [], images: first.images });
    expect(watch.typesOf(render.id)).toEqual(['RenderQueued', 'ImageReady', 'ImageReady']);
    expect(await watch.until('RenderQueued', render.id)).toMatchObject({ cache: 'hit' });
    expect(await watch.until('ImageReady', render.id)).toMatchObject({ cached: true, index: 0, of: 2 });
    expect(generator.calls.length).toBe(1);
    await renders.pause();
    expect((await submit({ seed: 1, num_images: 2 })).render.status).toBe('succeeded');
  });

  it('answer after a restart as well', async () => {
    const dir = await temporaryDir();
    const first = await start({}, dir);
    await first.draw({ seed: 1 });
    await first.stop();
    const { submit } = await start({}, dir);
    expect((await submit({ seed: 1 })).render).toMatchObject({ status: 'succeeded', cached: true });
  });

  it('do not answer when a file of theirs is gone; then all are drawn anew, and answer again', async () => {
    const { draw, submit, app } = await start();
    const first = await draw({ seed: 1, num_images: 2 });
    await rm(new URL(first.images[1]?.uri ?? ''));
    const again = await draw({ seed: 1, num_images: 2 });
    expect(again).toMatchObject({ cached: false });
    expect(again.images.map(({ image_id }) => image_id)).toEqual(first.images.map(({ image_id }) => image_id));
    expect((await submit({ seed: 1, num_images: 2 })).render.cached).toBe(true);
    expect((await app.call('GET', `/v1/images/${first.images[1]?.image_id}`)).status).toBe(200);
  });

  it('do not answer cache = "refresh", which puts others in their place', async () => {
    const { draw, submit } = await start();
    await draw({ seed: 1 });
    const fresh = await draw({ seed: 1, cache: 'refresh' });
    expect(fresh.cached).toBe(false);
    expect((await submit({ seed: 1 })).render).toMatchObject({ cached: true });
  });

  it('are neither asked for nor kept for others with cache = "off"', async () => {
    const { draw, watch } = await start();
    const off = await draw({ seed: 1, cache: 'off' });
    expect((await draw({ seed: 1 })).cached).toBe(false);
    expect((await draw({ seed: 1, cache: 'off' })).cached).toBe(false);
    expect(await watch.until('RenderQueued', off.id)).toMatchObject({ cache: 'bypass' });
  });

  it('of a request without a seed answer none, unless the operator wants that', async () => {
    const { draw } = await start();
    await draw({});
    expect((await draw({})).cached).toBe(false);
    const sharing = await start({ cache: { share_unseeded: true } });
    const first = await sharing.draw({});
    const { render } = await sharing.submit({});
    expect(render).toMatchObject({ cached: true, images: first.images });
    // A seed says which image is wanted.
    expect((await sharing.draw({ seed: 1 })).cached).toBe(false);
  });

  it('are safe from the retention as if they had just been made', async () => {
    const { draw, submit, clock, renders } = await start({ max_cache_size_gb: 1e-9, cache: { pin_s: 600 } });
    const first = await draw({ seed: 1 });
    await clock.advance(590_000);
    expect((await submit({ seed: 1 })).render.cached).toBe(true);
    await clock.advance(590_000);
    const imageId = first.images[0]?.image_id ?? '';
    await expect(renders.image(imageId)).resolves.toMatchObject({ imageId });
  });
});

describe('a request that is known by its id or key', () => {
  it('is that render, not an answer by stored images nor a new one', async () => {
    const { draw, submit, renders, watch } = await start();
    const first = await draw({ seed: 1, request_id: 'one' });
    expect(await submit({ seed: 1, request_id: 'one' })).toMatchObject({ kind: 'known', render: { id: first.id } });
    const keyed = { caller: BOB, mode: 'strict' as const, request: { prompt: 'a delta', seed: 1 } };
    const hit = await renders.submit(keyed, 'key');
    expect(hit).toMatchObject({ kind: 'accepted', render: { cached: true } });
    expect(await renders.submit(keyed, 'key')).toMatchObject({ kind: 'known', render: { id: hit.render.id } });
    expect(watch.events.filter(({ type }) => type === 'RenderQueued').length).toBe(2);
  });

  it('is one render, however many send it at once', async () => {
    const { submit, generator, watch } = await start();
    const all = await Promise.all(Array.from({ length: 100 }, () => submit({ request_id: 'one' })));
    expect(all.filter(({ kind }) => kind === 'accepted').length).toBe(1);
    expect(new Set(all.map(({ render }) => render.id)).size).toBe(1);
    (await generator.call(1)).finish();
    await watch.until('ImageReady');
    expect(generator.calls.length).toBe(1);
    expect((await submit({ request_id: 'one' })).replay.map(({ event }) => event.type)).toEqual(['ImageReady']);
  });
});

describe('what nobody waits for any more', () => {
  it('leaves no files that the index does not know, whenever it is given up', async () => {
    const { submit, generator, renders, watch, app } = await start();
    generator.stopsOnAbort = false;
    const { render } = await submit({ seed: 1, num_images: 3 });
    const step = await generator.call(1);
    step.finish();
    await renders.cancel(render.id, 'ann');
    await watch.until('AttemptEnded', render.id);
    const files = await readdir(join(app.dir, 'images', 'renders'), { recursive: true }).catch(() => []);
    for (const name of files.filter((each) => each.endsWith('.png'))) {
      const imageId = name.slice(name.lastIndexOf('/') + 1, -'.png'.length);
      await expect(renders.image(imageId)).resolves.toMatchObject({ imageId });
    }
  });

  it('does not answer later requests when it failed', async () => {
    const { submit, generator, watch, draw } = await start();
    const { render } = await submit({ seed: 1 });
    (await generator.call(1)).fail(new AppError('generator_failed', 'no paint'));
    await watch.until('RenderFailed', render.id);
    expect((await draw({ seed: 1 })).cached).toBe(false);
  });
});
