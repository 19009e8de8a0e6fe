import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pythonRenderRequest, startCorePeer } from './fakes/core-peer.ts';
import type { TestApp } from './helper.ts';
import { startApp } from './helper.ts';

/** A slope from dark to bright, as Experimance's core sends its sand: 8 bits, grey. */
async function depthMap(side = 1024): Promise<Buffer> {
  const data = Buffer.from(Uint8Array.from({ length: side * side }, (_, at) => Math.floor((at / side / side) * 256)));
  return sharp(data, { raw: { width: side, height: side, channels: 1 } })
    .png()
    .toBuffer();
}

async function startWithCore(): Promise<{ app: TestApp; core: Awaited<ReturnType<typeof startCorePeer>> }> {
  const core = await startCorePeer();
  onTestFinished(() => core.close());
  const app = await startApp({ config: { bus: { enabled: true, requests: core.requests, results: core.results } } });
  return { app, core };
}

describe('a render over REST', () => {
  it('becomes an image on disk, an event, a metric and a line of the health report', async () => {
    const app = await startApp();
    const client = await app.listen();
    const depth = (await depthMap()).toString('base64');

    const accepted = await app.call('POST', '/v1/renders', {
      request_id: 'visitor-1',
      prompt: 'A river delta at dawn',
      era: 'wilderness',
      biome: 'river',
      seed: 7,
      depth_map: { image_data: `data:image/png;base64,${depth}` },
    });
    expect(accepted.status).toBe(202);
    expect(accepted.headers.get('location')).toBe(`/v1/renders/${accepted.body.id}`);

    const ready = await client.until(({ type }) => type === 'ImageReady');
    expect(ready).toMatchObject({
      request_id: 'visitor-1',
      era: 'wilderness',
      biome: 'river',
      seed: 7,
      index: 0,
      of: 1,
    });
    const file = ready.uri.slice('file://'.length);
    const bytes = await readFile(file);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(ready.image_id);
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 1024, height: 1024 });

    const render = await app.call('GET', '/v1/renders/visitor-1');
    expect(render.body).toMatchObject({ status: 'succeeded', images: [{ image_id: ready.image_id, seed: 7 }] });
    const image = await app.call('GET', new URL(ready.url).pathname);
    expect(image.body.equals(bytes)).toBe(true);

    const order = client.messages.filter(({ seq }) => seq !== undefined).map(({ type }) => type);
    expect(order.slice(-4)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded', 'ImageReady']);
    const metrics = String((await app.call('GET', '/metrics')).body);
    expect(metrics).toContain('image_server_renders_total{generator="mock",status="succeeded"} 1');
    expect((await app.call('GET', '/health')).body).toMatchObject({
      status: 'ok',
      parts: { journal: { status: 'ok' }, store: { status: 'ok' }, 'generator:mock': { status: 'ok' } },
    });
  });

  it('points latest.png at the newest image', async () => {
    const app = await startApp();
    const first = await app.render({ prompt: 'one', width: 64, height: 64 });
    const second = await app.render({ prompt: 'two', width: 64, height: 64 });
    expect(first.body.images[0].image_id).not.toBe(second.body.images[0].image_id);
    // The link moves after the answer: a request that comes later has been answered after the move.
    await app.render({ prompt: 'three', width: 64, height: 64, output_format: 'jpeg' });
    expect(await realpath(join(app.dir, 'images', 'latest.png'))).toBe(second.body.images[0].uri.slice(7));
  });
});

describe('a render over the Experimance bus', () => {
  it('is answered with a file that is whole and readable, era and biome echoed', async () => {
    const { app, core } = await startWithCore();
    const client = await app.listen();
    await core.send(
      pythonRenderRequest({
        request_id: 'core-1',
        era: 'future',
        biome: 'coastal',
        prompt: 'A harbour of glass',
        depth_map: await depthMap(),
      }),
    );
    const ready = await core.answerTo('core-1');
    expect(ready).toMatchObject({ type: 'ImageReady', era: 'future', biome: 'coastal', prompt: 'A harbour of glass' });
    const path = String(ready.uri).slice('file://'.length);
    expect((await stat(path)).isFile()).toBe(true);
    expect(await sharp(await readFile(path)).metadata()).toMatchObject({ format: 'jpeg', width: 1024, height: 1024 });

    await client.until(({ type, request_id }) => type === 'ImageReady' && request_id === 'core-1');
    expect((await app.call('GET', '/v1/renders/core-1')).body).toMatchObject({
      status: 'succeeded',
      generator: 'mock',
    });
  });

  it('that REST sent stays off the bus', async () => {
    const { app, core } = await startWithCore();
    await app.render({ request_id: 'rest-1', prompt: 'x', width: 64, height: 64 });
    await core.send(pythonRenderRequest({ request_id: 'core-2', width: 64, height: 64 }));
    await core.answerTo('core-2');
    expect(core.received.map(({ request_id }) => request_id)).toEqual(['core-2']);
  });

  it('goes before one of REST that came earlier with the same priority', async () => {
    const { app, core } = await startWithCore();
    const client = await app.listen();
    const batch = Array.from({ length: 20 }, (_, i) =>
      app.call('POST', '/v1/renders', { request_id: `batch-${i}`, prompt: 'x', width: 512, height: 512 }),
    );
    await Promise.all(batch);
    await core.send(pythonRenderRequest({ request_id: 'visitor', width: 64, height: 64 }));
    await core.answerTo('visitor');
    await client.until(({ type, request_id }) => type === 'ImageReady' && request_id === 'batch-19');
    const started = client.messages.filter(({ type }) => type === 'RenderStarted').map(({ request_id }) => request_id);
    const queuedAt = client.messages.findIndex(
      ({ type, request_id }) => type === 'RenderQueued' && request_id === 'visitor',
    );
    const startedBefore = client.messages.slice(0, queuedAt).filter(({ type }) => type === 'RenderStarted').length;
    // What ran already when it came goes on, and one more may have been claimed meanwhile.
    expect(started.indexOf('visitor')).toBeLessThanOrEqual(startedBefore + 1);
  });

  it('answers what it cannot serve with an Alert without uri, and serves the next', async () => {
    const { core } = await startWithCore();
    await core.send('{"type":"RenderRequest","request_id":"bad-1","prompt":"x","seed":NaN}');
    expect(await core.answerTo('bad-1')).toMatchObject({ type: 'Alert', code: 'malformed_message' });
    await core.send(pythonRenderRequest({ request_id: 'bad-2', prompt: ' ' }));
    expect(await core.answerTo('bad-2')).toMatchObject({ type: 'Alert', code: 'invalid_request' });
    await core.send(pythonRenderRequest({ request_id: 'bad-3', generator: 'dream' }));
    expect(await core.answerTo('bad-3')).toMatchObject({ type: 'Alert', code: 'unknown_generator' });
    await core.send(pythonRenderRequest({ request_id: 'bad-4', depth_map: Buffer.from('no image') }));
    expect(await core.answerTo('bad-4')).toMatchObject({ type: 'Alert', code: 'invalid_image' });
    await core.send(pythonRenderRequest({ request_id: 'bad-5', era: null }));
    expect(await core.answerTo('bad-5')).toMatchObject({
      type: 'Alert',
      code: 'invalid_request',
      message: 'era: is required here',
    });
    await core.send(pythonRenderRequest({ request_id: 'good', width: 64, height: 64 }));
    expect(await core.answerTo('good')).toMatchObject({ type: 'ImageReady' });
    expect(core.received.filter(({ type, uri }) => type === 'Alert' && uri !== undefined)).toEqual([]);
  });
});
