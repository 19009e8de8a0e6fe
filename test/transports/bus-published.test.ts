import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Subscriber } from 'zeromq';
import { alert, busImageReady, heartbeat } from '../../src/messages/bus.ts';
import { pythonRenderRequest, startCorePublisher, startListener } from '../fakes/core-peer.ts';
import { temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { closeAll, defer, freePort, isUp, scriptedRenderer, startPeer, startTransport } from './bus-fixtures.ts';

afterEach(closeAll);

async function publishedAddress(): Promise<string> {
  return `ipc://${join(await temporaryDir(), 'images.sock')}`;
}

async function startPubsub(bus: object = {}, clock?: ManualClock, renderer = scriptedRenderer()) {
  const core = await startCorePublisher();
  defer(async () => core.close());
  const images = await publishedAddress();
  const settings = { layout: 'pubsub', images, ...bus };
  const parts = await startTransport(core, renderer, settings, clock === undefined ? {} : { clock });
  await core.subscribed;
  return { ...parts, core, images };
}

function listen(address: string, topics?: readonly string[]) {
  const listener = startListener(address, topics);
  defer(() => listener.close());
  return listener;
}

test('a request that is published is drawn, and its image is published behind its topic in one frame', async () => {
  const { core, images, transport, until, renderer, counts } = await startPubsub();
  const display = listen(images, ['ImageReady']);
  await until(isUp(transport));
  await core.publish('RenderRequest', pythonRenderRequest({ request_id: 'r1' }));
  const { topic, frames, ...image } = await display.next();
  expect([topic, frames]).toEqual(['ImageReady', 1]);
  expect(busImageReady.strict().parse(image)).toMatchObject({ request_id: 'r1', image_id: 'a'.repeat(64) });
  expect(renderer.calls).toHaveLength(1);
  await until(() => counts.includes('out ImageReady sent'));
  expect(counts).toContain('in RenderRequest accepted');
});

test('the first versions of Experimance are understood: their topics and depth_map_png', async () => {
  const { core, renderer, until } = await startPubsub();
  const old = { request_id: 'r1', era: 'modern', biome: 'river', prompt: 'p', depth_map_png: 'iVBORw0KGgo=' };
  await core.publish('MessageType.RENDER_REQUEST', { type: 'RenderRequest', ...old });
  await core.publish('heartbeat', { type: 'RenderRequest', ...old, request_id: 'r2' });
  await core.publishRaw(JSON.stringify({ type: 'RenderRequest', ...old, request_id: 'r3' }));
  await until(() => renderer.calls.length === 3);
  expect(renderer.calls.map(({ request }) => [request.request_id, request.depth_map])).toEqual([
    ['r1', { image_data: 'iVBORw0KGgo=' }],
    ['r2', { image_data: 'iVBORw0KGgo=' }],
    ['r3', { image_data: 'iVBORw0KGgo=' }],
  ]);
});

test('what is published for others is counted, not answered, and harms nothing', async () => {
  const { core, images, counts, until, transport } = await startPubsub();
  const everything = listen(images);
  await until(isUp(transport));
  await core.publish('DisplayMedia', { type: 'DisplayMedia', uri: 'file:///x' });
  await core.publish('Heartbeat', { type: 'Heartbeat', timestamp: 1 });
  await core.publish('PresenceStatus', 'no JSON at all');
  await core.publishRaw('RenderRequest', '{}');
  await core.publishRaw('');
  await core.publishRaw(Buffer.from([0xff, 0x20, 0xfe]));
  await core.publish('AudioRenderRequest', { type: 'AudioRenderRequest', request_id: 'x_audio' });
  const { topic, frames, ...first } = await everything.next(({ type }) => type !== 'Heartbeat');
  expect(alert.parse(first)).toMatchObject({ code: 'unsupported_message', request_id: 'x_audio' });
  expect([topic, frames]).toEqual(['Alert', 1]);
  expect(counts.filter((line) => line.startsWith('in'))).toEqual([
    'in other passing',
    'in other passing',
    'in other malformed_message',
    'in other malformed_message',
    'in other malformed_message',
    'in other malformed_message',
    'in other unsupported_message',
  ]);
});

test('a request that cannot be read is answered when its topic says what it was', async () => {
  const { core, images, until, transport } = await startPubsub();
  const alerts = listen(images, ['Alert', 'ImageReady']);
  await until(isUp(transport));
  await core.publish('RenderRequest', '{"request_id": "r1", "seed": NaN}');
  expect(await alerts.next()).toMatchObject({ topic: 'Alert', code: 'malformed_message', request_id: 'r1' });
});

test('a sign of life is published every 5 s', async () => {
  const clock = new ManualClock();
  const { images, until, transport, counts } = await startPubsub({}, clock);
  const listener = listen(images);
  await until(isUp(transport));
  await clock.advance(5000);
  const { topic, frames, ...first } = await listener.next();
  expect(topic).toBe('Heartbeat');
  expect(heartbeat.parse(first).timestamp).toBe(clock.now() / 1000);
  await clock.advance(5000);
  expect(await listener.next()).toMatchObject({ timestamp: clock.now() / 1000 });
  expect(counts).toContain('out Heartbeat unheard');
});

test('images wait until somebody listens, the newest of each place', async () => {
  const { images, renderer, transport, counts, until } = await startPubsub();
  await until(() => transport.status().reason?.includes(images) === true);
  renderer.draw('one');
  renderer.draw('two');
  expect(transport.status()).toEqual({
    state: 'waiting',
    reason: `nobody listens for images at ${images}`,
    outbox: 2,
  });
  const display = listen(images, ['ImageReady']);
  expect(await display.next()).toMatchObject({ request_id: 'two' });
  expect(counts).toContain('out ImageReady stale');
});

test('a listener that reads too slowly misses images, and that is counted; the others get them', async () => {
  const { images, renderer, transport, counts, lines, until } = await startPubsub();
  const stalled = new Subscriber({ receiveHighWaterMark: 1, linger: 0 });
  stalled.subscribe('ImageReady');
  stalled.connect(images);
  defer(async () => stalled.close());
  await until(isUp(transport));
  const display = listen(images, ['Image']);
  await until(() => lines.filter((line) => line.includes('subscriptions')).length === 2);
  const long = 'x'.repeat(60_000);
  let drawn = 0;
  while (!counts.includes('out ImageReady stalled')) {
    drawn += 1;
    renderer.draw(`r${drawn}`, 'bus', { prompt: long });
    await display.next(({ request_id }) => request_id === `r${drawn}`);
  }
  renderer.draw('after', 'bus', { prompt: long });
  expect(await display.next(({ request_id }) => request_id === 'after')).toBeDefined();
});

test('a port that is taken is named', async () => {
  const images = `tcp://127.0.0.1:${await freePort()}`;
  const other = await startCorePublisher(images);
  defer(async () => other.close());
  await expect(startTransport({}, scriptedRenderer(), { layout: 'pubsub', images })).rejects.toMatchObject({
    code: 'port_in_use',
    message: `${images}, where the bus publishes, is taken by another process; see [bus] images.`,
  });
});

test('a publisher that comes back is heard again', async () => {
  const { core, renderer, until, transport, images } = await startPubsub();
  listen(images);
  await until(isUp(transport));
  core.close();
  await until(() => transport.status().reason === `no core at ${core.events}`);
  const again = await startCorePublisher(core.events);
  defer(async () => again.close());
  await again.subscribed;
  await again.publish('RenderRequest', pythonRenderRequest({ request_id: 'r1' }));
  await until(() => renderer.calls.length === 1);
});

test('in the layout worker Alerts can be published, instead or too, and open ones are said again for those who come late', async () => {
  const peer = await startPeer();
  const clock = new ManualClock();
  const images = await publishedAddress();
  const renderer = scriptedRenderer({ drawAtOnce: false });
  const { counts, until } = await startTransport(peer, renderer, { alerts: 'both', images }, { clock });
  await peer.send(pythonRenderRequest({ request_id: 'bad', prompt: '' }));
  expect(await peer.next()).toMatchObject({ type: 'Alert', request_id: 'bad' });
  await until(() => counts.includes('out Alert unheard'));

  const late = listen(images);
  // The subscription is known when something reaches it; only six repetitions come, so each gives it time to arrive.
  const heard = late.next();
  while (late.received.length === 0) {
    await sleep(500);
    await clock.advance(10_000);
  }
  expect(await heard).toMatchObject({ topic: 'Alert', request_id: 'bad', code: 'invalid_request' });

  renderer.emit({ type: 'GeneratorState', generator: 'fal', state: 'open', reason: 'Its key is refused.' });
  const open = { request_id: null, code: 'generator_unavailable' };
  expect(await late.next(({ request_id }) => request_id === null)).toMatchObject({
    ...open,
    message: 'The generator fal is open: Its key is refused.',
  });
  await clock.advance(10_000);
  expect(await late.next(({ request_id }) => request_id === null)).toMatchObject(open);
});
