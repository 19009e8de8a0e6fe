import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { pythonRenderRequest, startCorePeer, startCorePublisher, startListener } from './fakes/core-peer.ts';
import { SteppedGenerator } from './fakes/stepped-generator.ts';
import { startApp, temporaryDir } from './helper.ts';

const image = z.looseObject({ type: z.literal('ImageReady'), request_id: z.string(), uri: z.string() });

async function startCore() {
  const core = await startCorePeer();
  onTestFinished(() => core.close());
  return core;
}

test('an image is readable as soon as it is told of, by its raw path, whatever stands in it', async () => {
  const core = await startCore();
  const dir = join(await temporaryDir(), '50 % of “Fluß” #1?');
  await startApp({ dir, config: { bus: { enabled: true, requests: core.requests, results: core.results } } });
  await core.send(pythonRenderRequest({ request_id: 'r1', width: 64, height: 64 }));
  const { uri } = image.parse(await core.answerTo('r1'));
  expect(uri.startsWith(`file://${dir}/`)).toBe(true);
  const bytes = await readFile(uri.slice('file://'.length));
  expect(bytes.subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
  expect((await stat(uri.slice('file://'.length))).size).toBe(bytes.length);
});

test('in the layout of June 2025 an id and a prompt are enough, and a place that is named must be one', async () => {
  const publisher = await startCorePublisher();
  onTestFinished(() => publisher.close());
  const images = `ipc://${join(await temporaryDir(), 'images.sock')}`;
  await startApp({ config: { bus: { enabled: true, layout: 'pubsub', events: publisher.events, images } } });
  const display = startListener(images);
  onTestFinished(() => display.close());
  await publisher.subscribed;
  const ask = (request_id: string, more: object) =>
    publisher.publish('RenderRequest', { type: 'RenderRequest', request_id, prompt: 'a delta', width: 64, ...more });
  await ask('r1', {});
  const ready = await display.next(({ request_id }) => request_id === 'r1');
  expect(image.parse(ready)).not.toHaveProperty('era');
  await ask('r2', { era: 'yesterday', biome: 'river' });
  expect(await display.next(({ request_id }) => request_id === 'r2')).toMatchObject({ code: 'invalid_request' });
});

test('a REST render is told on the bus when it is mirrored, and its bytes go along when they should', async () => {
  const core = await startCore();
  const bus = { enabled: true, requests: core.requests, results: core.results, mirror: true };
  const app = await startApp({ config: { bus: { ...bus, image_transport: 'hybrid' } } });
  const { body } = await app.render({ prompt: 'a', width: 64, height: 64, era: 'modern', biome: 'river' });
  const told = await core.answerTo(body.request_id);
  expect(told).toMatchObject({ type: 'ImageReady', era: 'modern', biome: 'river', format: 'png' });
  const data = String(told.image_data);
  expect(data.startsWith('data:image/png;base64,')).toBe(true);
  expect(Buffer.from(data.slice(data.indexOf(',') + 1), 'base64')).toEqual(
    await readFile(String(told.uri).slice('file://'.length)),
  );
});

test('when the core moves on, renders that wait for the old place are given up, but never the newest', async () => {
  const core = await startCore();
  const publisher = await startCorePublisher();
  onTestFinished(() => publisher.close());
  const stepped = new SteppedGenerator();
  const bus = { enabled: true, requests: core.requests, results: core.results, events: publisher.events };
  await startApp({
    config: { bus: { ...bus, drop_stale: true }, generator: { strategy: 'stepped' } },
    overrides: { generators: new Map([['stepped', stepped]]) },
  });
  await publisher.subscribed;
  const ask = (request_id: string, biome: string) => core.send(pythonRenderRequest({ request_id, biome }));
  await ask('running', 'desert');
  await stepped.call(1);
  await ask('stale', 'desert');
  await ask('current', 'arctic');
  await ask('newest', 'desert');
  // A message that is read says that those before it are journalled.
  await core.send('no JSON');
  await core.answerTo(null);
  await publisher.publish('SpaceTimeUpdate', { type: 'SpaceTimeUpdate', era: 'wilderness', biome: 'arctic' });
  expect(await core.next()).toMatchObject({
    type: 'Alert',
    request_id: 'stale',
    code: 'superseded',
    severity: 'warning',
  });
});

test('what ended while nobody could hear it is told after a restart, if it is young', async () => {
  const core = await startCore();
  const dir = await temporaryDir();
  const away = { enabled: true, requests: core.requests, results: `ipc://${join(dir, 'nobody.sock')}` };
  const first = await startApp({ dir, config: { bus: away } });
  await core.send(pythonRenderRequest({ request_id: 'r1', width: 64, height: 64 }));
  let render = await first.call('GET', '/v1/renders/r1');
  while (render.body.status !== 'succeeded') {
    render = await first.call('GET', '/v1/renders/r1', undefined, { prefer: 'wait=60' });
  }
  await first.stop();
  await startApp({ dir, config: { bus: { ...away, results: core.results } } });
  expect(image.parse(await core.next()).request_id).toBe('r1');
});
