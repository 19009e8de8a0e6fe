import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { alert, busImageReady } from '../../src/messages/bus.ts';
import { MAX_MESSAGE_BYTES } from '../../src/transports/bus-messages.ts';
import type { CorePeer } from '../fakes/core-peer.ts';
import { pythonRenderRequest, startCorePublisher } from '../fakes/core-peer.ts';
import {
  closeAll,
  defer,
  freeAddresses,
  freePort,
  imageEvent,
  isUp,
  nowhere,
  scriptedRenderer,
  startPeer,
  startTransport,
} from './bus-fixtures.ts';

/** One character more than a request_id may have. */
const LONG_ID = 'x'.repeat(4097);

afterEach(closeAll);

test('a request is handed to the core of renders and its image comes back', async () => {
  const peer = await startPeer();
  const { renderer, transport, lines, counts, until } = await startTransport(peer);
  await peer.send(pythonRenderRequest({ request_id: 'r1', seed: 7, depth_map: Buffer.from('png') }));

  expect(busImageReady.strict().parse(await peer.answerTo('r1'))).toMatchObject({
    uri: 'file:///images/r1.jpg',
    era: 'wilderness',
  });
  expect(renderer.calls).toMatchObject([
    { caller: { owner: 'bus', door: 'bus' }, mode: 'tolerant', ignored: [], request: { request_id: 'r1', seed: 7 } },
  ]);
  await until(() => counts.length === 2);
  expect(counts).toEqual(['in RenderRequest accepted', 'out ImageReady sent']);
  await until(isUp(transport));
  expect(transport.status()).toEqual({ state: 'up', outbox: 0 });
  expect(lines.some((line) => line.includes(peer.requests) && line.includes('experimance'))).toBe(true);
});

test('the next request is read only when the one before is journalled', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const aArrived = Promise.withResolvers<void>();
  const journalled = Promise.withResolvers<void>();
  renderer.onSubmit = async ({ request }) => {
    aArrived.resolve();
    if (request.request_id === 'a') await journalled.promise;
    renderer.draw(request.request_id ?? '');
    return { kind: 'accepted', replay: [] };
  };
  await startTransport(peer, renderer);
  await peer.send(pythonRenderRequest({ request_id: 'a' }));
  await peer.send(pythonRenderRequest({ request_id: 'b' }));
  await aArrived.promise;
  renderer.draw('unrelated');
  await peer.answerTo('unrelated');
  expect(renderer.calls).toHaveLength(1);

  journalled.resolve();
  await peer.answerTo('b');
  expect(peer.received.map(({ request_id }) => request_id)).toEqual(['unrelated', 'a', 'b']);
});

test('every message that cannot be served gets exactly one Alert, and the next request is served', async () => {
  const peer = await startPeer();
  await startTransport(peer);
  const text = pythonRenderRequest({ request_id: 'bad' });
  const bad: [Parameters<CorePeer['send']>[0], string, string | null][] = [
    ['{"request_id":"bad",', 'malformed_message', 'bad'],
    [text.replace('"seed":null', '"seed":NaN'), 'malformed_message', 'bad'],
    [text.replace('"seed":null', '"seed":1e999'), 'malformed_message', 'bad'],
    ['[]', 'malformed_message', null],
    ['"RenderRequest"', 'malformed_message', null],
    [Buffer.from([0x80, 0xff, 0xfe]), 'malformed_message', null],
    ['', 'malformed_message', null],
    [['', ''], 'malformed_message', null],
    [['RenderRequest', text], 'malformed_message', 'bad'],
    [`${'['.repeat(100_000)}`, 'malformed_message', null],
    [text.replace('"style":null', '"style":"\\ud800"'), 'malformed_message', 'bad'],
    [{ request_id: 'bad' }, 'unsupported_message', 'bad'],
    [{ type: 'AudioRenderRequest', request_id: 'x_audio', prompt: 'wind' }, 'unsupported_message', 'x_audio'],
    [{ type: 'RenderRequest', __proto__: null, request_id: 'bad' }, 'invalid_request', 'bad'],
    [pythonRenderRequest({ request_id: LONG_ID }), 'invalid_request', LONG_ID],
    [Buffer.alloc(MAX_MESSAGE_BYTES + 1, text.padEnd(1000)), 'message_too_large', 'bad'],
  ];
  for (const [index, [message, code, requestId]] of bad.entries()) {
    await peer.send(message);
    await peer.send(pythonRenderRequest({ request_id: `good-${index}` }));
    expect(alert.parse(await peer.next())).toMatchObject({ code, request_id: requestId, severity: 'error' });
    expect(await peer.next()).toMatchObject({ type: 'ImageReady', request_id: `good-${index}` });
  }
});

test('sizes up to the limit are served, up to the cap of the socket answered', async () => {
  const peer = await startPeer();
  await startTransport(peer);
  await peer.send(pythonRenderRequest({ request_id: 'largest' }).padEnd(MAX_MESSAGE_BYTES));
  expect(await peer.next()).toMatchObject({ type: 'ImageReady', request_id: 'largest' });
  await peer.send(pythonRenderRequest({ request_id: 'larger' }).padEnd(64 * 1024 * 1024));
  expect(await peer.next()).toMatchObject({ type: 'Alert', request_id: 'larger', code: 'message_too_large' });
});

test('a frame above the cap of the socket costs the connection, not the server', async () => {
  const peer = await startPeer();
  const { transport, lines, until } = await startTransport(peer);
  await until(isUp(transport));
  await peer.send(Buffer.alloc(64 * 1024 * 1024 + 1));
  await until(() => lines.some((line) => line.includes('away')));
  await until(isUp(transport));
  await peer.send(pythonRenderRequest({ request_id: 'next' }));
  expect(await peer.answerTo('next')).toMatchObject({ type: 'ImageReady' });
});

test.each(['ü 🌊\u2028"\\', '\u0000', 'a/../b', ' ', 'x'.repeat(4096)])(
  'a request_id comes back as it was, in images and in Alerts',
  async (id) => {
    const peer = await startPeer();
    await startTransport(peer);
    await peer.send(pythonRenderRequest({ request_id: id }));
    await peer.send(pythonRenderRequest({ request_id: id, prompt: '' }));
    expect((await peer.next()).request_id).toBe(id);
    expect((await peer.next()).request_id).toBe(id);
  },
);

test('a request_id that is too long comes back whole, and is cut off in the log', async () => {
  const peer = await startPeer();
  const { renderer, logged } = await startTransport(peer);
  await peer.send(pythonRenderRequest({ request_id: LONG_ID }));
  const { request_id, message } = await peer.next();
  expect(request_id).toBe(LONG_ID);
  expect(message).toBe('request_id: must be text of 1 to 4096 characters');
  expect(renderer.calls).toEqual([]);
  expect(logged).toContainEqual(expect.objectContaining({ request_id: 'x'.repeat(200), code: 'invalid_request' }));
  expect(logged.filter((about) => inspect(about, { maxStringLength: Infinity }).includes(LONG_ID))).toEqual([]);
});

test('what the core of renders throws becomes an Alert, and the unexpected does not stop the bus or leak', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const errors = [new AppError('queue_full', 'The queue is full.'), new Error('secret /path'), 'no error at all'];
  renderer.onSubmit = async () => {
    throw errors.shift();
  };
  await startTransport(peer, renderer);
  for (const id of ['a', 'b', 'c']) await peer.send(pythonRenderRequest({ request_id: id }));

  expect(await peer.next()).toMatchObject({ code: 'queue_full', message: 'The queue is full.', request_id: 'a' });
  const unexpected = await peer.next();
  expect(unexpected).toMatchObject({ code: 'internal', request_id: 'b' });
  expect(JSON.stringify(unexpected)).not.toContain('secret');
  expect(await peer.next()).toMatchObject({ code: 'internal', request_id: 'c' });
});

test('failed and cancelled renders are told as Alerts, those of other doors not at all', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  await startTransport(peer, renderer);
  const about = { render_id: 'R', generator: 'mock', message: 'Why.' };
  renderer.draw('rest', 'rest');
  renderer.emit({ ...about, type: 'RenderFailed', request_id: 'rest', code: 'crashed', retryable: true }, 'rest');
  renderer.emit({ ...about, type: 'RenderFailed', request_id: 'f', code: 'render_timeout', retryable: true });
  renderer.emit({ ...about, type: 'RenderCancelled', request_id: 'c', code: 'superseded' });
  renderer.emit({ ...imageEvent('pathless'), uri: undefined });

  expect(await peer.next()).toMatchObject({ request_id: 'f', code: 'render_timeout', severity: 'error' });
  expect(await peer.next()).toMatchObject({ request_id: 'c', code: 'superseded', severity: 'warning' });
  expect(alert.parse(await peer.next())).toMatchObject({ request_id: 'pathless', code: 'internal' });
});

test('a request that is sent again gets its result again', async () => {
  const peer = await startPeer();
  const { renderer, counts, until } = await startTransport(peer);
  const message = pythonRenderRequest({ request_id: 'r1' });
  await peer.send(message);
  const first = await peer.answerTo('r1');
  await peer.send(message);
  expect(await peer.answerTo('r1')).toEqual(first);
  expect(renderer.calls).toHaveLength(2);
  await until(() => counts.length === 4);
  expect(counts).toContain('in RenderRequest known');
});

test('with alerts off a bad message is only counted and logged', async () => {
  const peer = await startPeer();
  const { counts, lines } = await startTransport(peer, scriptedRenderer(), { alerts: 'off' });
  await peer.send('no JSON');
  await peer.send(pythonRenderRequest({ request_id: 'r1' }));
  expect(await peer.next()).toMatchObject({ type: 'ImageReady', request_id: 'r1' });
  expect(counts).toEqual(expect.arrayContaining(['in other malformed_message', 'out Alert off']));
  expect(lines).toContain('warn Bus request refused');
});

test('a core that comes later is waited for', async () => {
  const addresses = await freeAddresses();
  const { transport, until } = await startTransport(addresses);
  expect(transport.status()).toMatchObject({ state: 'waiting', reason: expect.stringContaining(addresses.requests) });

  const peer = await startPeer(addresses);
  await peer.send(pythonRenderRequest({ request_id: 'r1' }));
  expect(await peer.answerTo('r1')).toMatchObject({ type: 'ImageReady' });
  await until(isUp(transport));
});

test('a core that restarts on the same ports is met again, and gets what was finished meanwhile', async () => {
  const first = await startPeer();
  const { transport, renderer, until } = await startTransport(first);
  await until(isUp(transport));
  await first.close();
  // Until both ends are known to be gone a result may still be handed to the old connection, and die with it.
  await until(() => transport.status().reason?.includes(first.results) === true);
  renderer.draw('meanwhile');

  const second = await startPeer(first);
  expect(await second.answerTo('meanwhile')).toMatchObject({ type: 'ImageReady' });
  await second.send(pythonRenderRequest({ request_id: 'next' }));
  expect(await second.answerTo('next')).toMatchObject({ type: 'ImageReady' });
});

test('while the core is away at most the outbox is kept, the newest of it, and nobody waits', async () => {
  const addresses = await freeAddresses();
  const { transport, renderer, counts } = await startTransport(addresses, scriptedRenderer(), { outbox: 3 });
  for (const id of ['a', 'b', 'c', 'd', 'e']) renderer.draw(id, 'bus', { biome: id });
  expect(transport.status().outbox).toBe(3);
  expect(counts).toEqual(['out ImageReady dropped', 'out ImageReady dropped']);

  const peer = await startPeer(addresses);
  for (const id of ['c', 'd', 'e']) expect(await peer.next()).toMatchObject({ request_id: id });
});

test('a core that is met by its requests socket as the server starts gets every answer, too', async () => {
  const asking = await startPeer();
  const { results } = await freeAddresses();
  const { counts, lines, until } = await startTransport({ requests: asking.requests, results });
  await until(() => lines.some((line) => line.includes('away')));
  for (const id of ['a', 'b', 'c']) await asking.send(pythonRenderRequest({ request_id: id }));
  await until(() => counts.length === 3);
  const taking = await startPeer({ results });
  await taking.answerTo('c');
  expect(taking.received.map(({ request_id }) => request_id)).toEqual(['a', 'b', 'c']);
});

test('a core whose results socket is met later than its requests gets every answer, and of before only the newest', async () => {
  const { requests, results } = await freeAddresses();
  const { renderer, counts, until } = await startTransport({ requests, results });
  renderer.draw('of before');
  const asking = await startPeer({ requests });
  for (const id of ['a', 'b', 'c']) await asking.send(pythonRenderRequest({ request_id: id }));
  await until(() => counts.length === 3);
  const taking = await startPeer({ results });
  await taking.answerTo('c');
  expect(taking.received.map(({ request_id }) => request_id)).toEqual(['a', 'b', 'c']);
  expect(counts).toContain('out ImageReady stale');
});

test('a core that goes from its results alone, as one that hangs seems to, gets the newest only on its return', async () => {
  const asking = await startPeer();
  const { results } = await freeAddresses();
  const { renderer, transport, until } = await startTransport({ requests: asking.requests, results });
  const first = await startPeer({ results });
  await until(isUp(transport));
  await first.close();
  await until(() => transport.status().state === 'waiting');
  renderer.draw('old');
  renderer.draw('new');
  const again = await startPeer({ results });
  await again.answerTo('new');
  expect(again.received).toHaveLength(1);
});

test('a results socket without a core does not stop requests', async () => {
  const results = `tcp://127.0.0.1:${await freePort()}`;
  const peer = await startPeer();
  const { renderer, transport, until, counts } = await startTransport({ requests: peer.requests, results });
  for (let i = 0; i < 20; i++) await peer.send(pythonRenderRequest({ request_id: `r${i}` }));
  await until(() => counts.length === 20);
  expect(renderer.calls).toHaveLength(20);
  expect(transport.status()).toMatchObject({ state: 'waiting', reason: `no core at ${results}` });
});

test('after stopReceiving no request is read any more, and results still go out', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer({ drawAtOnce: false });
  const { transport, until } = await startTransport(peer, renderer);
  await peer.send(pythonRenderRequest({ request_id: 'r1' }));
  await until(() => renderer.calls.length === 1);
  await transport.stopReceiving();
  expect(transport.status()).toMatchObject({ state: 'down', reason: 'takes no more requests' });

  renderer.draw('r1');
  expect(await peer.answerTo('r1')).toMatchObject({ type: 'ImageReady' });
});

test('what the core had sent before the server stopped is still taken', async () => {
  const peer = await startPeer();
  const { renderer, transport, until } = await startTransport(peer);
  await until(isUp(transport));
  const long = 'x'.repeat(100_000);
  for (let i = 0; i < 40; i++) await peer.send(pythonRenderRequest({ request_id: `r${i}`, depth_map: long }));
  await transport.stopReceiving();
  expect(renderer.calls).toHaveLength(40);
  await peer.answerTo('r39');
});

test('a core that never falls silent does not keep the server from stopping', async () => {
  const peer = await startPeer();
  const { renderer, transport, until } = await startTransport(peer);
  await until(isUp(transport));
  let stopped = false;
  const talking = (async () => {
    for (let i = 0; !stopped; i++) await peer.send(pythonRenderRequest({ request_id: `r${i}` }));
  })();
  await transport.stopReceiving();
  stopped = true;
  const taken = renderer.calls.length;
  await peer.close();
  await talking.catch(() => undefined);
  expect(taken).toBeGreaterThan(0);
  expect(renderer.calls).toHaveLength(taken);
});

test('closing sends what is left, and then says down', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const { transport, until } = await startTransport(peer, renderer);
  await until(isUp(transport));
  for (let i = 0; i < 50; i++) renderer.draw(`r${i}`);
  await transport.close();
  await peer.answerTo('r49');
  expect(peer.received).toHaveLength(50);
  expect(transport.status()).toEqual({ state: 'down', reason: 'closed', outbox: 0 });
  expect(renderer.listeners.size).toBe(0);
  await transport.close();
});

test('closing does not wait for a submit that never ends, nor for a core that is away', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  renderer.onSubmit = () => new Promise(() => {});
  const addresses = await freeAddresses();
  const { transport, counts, until } = await startTransport({ ...addresses, requests: peer.requests }, renderer);
  await peer.send(pythonRenderRequest({ request_id: 'r1' }));
  await until(() => renderer.calls.length === 1);
  renderer.draw('unsent');
  await transport.close();
  expect(counts).toEqual(['out ImageReady dropped']);
});

test.each([
  ['requests', 'localhost:5564'],
  ['requests', 'tcp://*:5564'],
  ['results', 'tcp://127.0.0.1'],
  ['results', 'tcp://127.0.0.1:99999'],
  ['results', 'tcp://127.0.0.1:0'],
  ['results', 'foo://127.0.0.1:5565'],
])('an address that is none is refused with the name of its key: %s = %s', async (key, address) => {
  const peer = await startPeer();
  await expect(
    startTransport({ requests: peer.requests, results: peer.results, [key]: address }),
  ).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(new RegExp(`\\[bus\\] ${key} .*`)),
  });
});

test('a results address where requests are handed out is noticed, and mended by the right core', async () => {
  const wrong = await startPeer();
  const { transport, lines, until } = await startTransport({ requests: wrong.results, results: wrong.requests });
  await until(() => lines.filter((line) => line.includes('away')).length === 2);
  expect(transport.status().state).toBe('waiting');
  await wrong.close();
  await startPeer({ requests: wrong.results, results: wrong.requests });
  await until(isUp(transport));
});

test('connections that break while nobody reads do not abort the process', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer({ drawAtOnce: false });
  const journalled = Promise.withResolvers<void>();
  renderer.onSubmit = async () => {
    await journalled.promise;
    return { kind: 'accepted', replay: [] };
  };
  const links = new Set<Socket>();
  const port = Number(peer.requests.split(':').at(-1));
  const proxy = createServer((inner) => {
    const outer = connect(port, '127.0.0.1');
    links.add(inner);
    for (const socket of [inner, outer])
      socket.on('error', () => {}).on('close', () => [inner, outer].map((s) => s.destroy()));
    inner.pipe(outer).pipe(inner);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  defer(async () => {
    for (const link of links) link.destroy();
    proxy.close();
  });
  const requests = `tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const { until, lines } = await startTransport({ requests, results: peer.results }, renderer);
  for (let i = 0; i < 40; i++)
    await peer.send(pythonRenderRequest({ request_id: `r${i}`, depth_map: Buffer.alloc(50_000) }));
  await until(() => renderer.calls.length === 1);
  for (const link of links) link.resetAndDestroy();
  journalled.resolve();
  await until(() => lines.filter((line) => line.includes('Connected')).length >= 3);
  await peer.send(pythonRenderRequest({ request_id: 'last' }));
  await until(() => renderer.calls.some(({ request }) => request.request_id === 'last'));
});

test.each(['close', 'exit'])('a process with unsent messages for an absent core ends by itself: %s', async (how) => {
  const { requests, results } = await freeAddresses();
  const source = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${name}`, import.meta.url)));
  const script = `
    import { createBusTransport } from ${source('transports/bus-transport.ts')};
    import { configSchema } from ${source('config/schema.ts')};
    import { systemClock } from ${source('render/clock.ts')};
    const log = { error() {}, warn() {}, info() {}, debug() {} };
    const { bus } = configSchema.parse({ bus: ${JSON.stringify({ requests, results, events: await nowhere() })} });
    let tell = () => {};
    const renders = { submit: async () => ({ kind: 'accepted', replay: [] }), subscribe: (l) => ((tell = l), () => {}), supersedeStale: async () => 0, readImage: async () => Buffer.of() };
    const transport = createBusTransport({ config: bus, renders, clock: systemClock, log });
    await transport.start();
    const event = { seq: 1, time: '', ...${JSON.stringify(imageEvent('r1'))} };
    for (let i = 0; i < 10; i++) tell({ owner: 'bus', door: 'bus', event: { ...event, biome: String(i) } });
    if (transport.status().outbox !== 10) process.exit(3);
    await transport.close();
    ${how === 'exit' ? 'process.exit(0);' : ''}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  const [code, signal] = await once(child, 'exit');
  expect([code, signal]).toEqual([0, null]);
});

test('the last message still leaves a process that exits at once after closing', async () => {
  const peer = await startPeer();
  const source = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${name}`, import.meta.url)));
  const script = `
    import { createBusTransport } from ${source('transports/bus-transport.ts')};
    import { configSchema } from ${source('config/schema.ts')};
    import { systemClock } from ${source('render/clock.ts')};
    const log = { error() {}, warn() {}, info() {}, debug() {} };
    const { bus } = configSchema.parse({ bus: ${JSON.stringify({ requests: peer.requests, results: peer.results, events: await nowhere() })} });
    const renders = { submit: async () => ({ kind: 'accepted', replay: [] }), subscribe: () => () => {}, supersedeStale: async () => 0, readImage: async () => Buffer.of() };
    const taken = Promise.withResolvers();
    const transport = createBusTransport({ config: bus, renders, clock: systemClock, log, onMessage: (m) => m.direction === 'in' && taken.resolve() });
    await transport.start();
    await taken.promise;
    await transport.close();
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  await peer.send({ type: 'RenderRequest', request_id: 'r1' });
  expect(await peer.answerTo('r1')).toMatchObject({ type: 'Alert' });
  const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
  expect(code).toBe(0);
});

test('images of other doors are told when the bus mirrors them, if they name the place that the core demands', async () => {
  const peer = await startPeer();
  const { renderer, counts } = await startTransport(peer, scriptedRenderer(), { mirror: true });
  renderer.draw('placeless', 'rest', { era: undefined });
  renderer.emit({ ...imageEvent('failed'), type: 'RenderFailed', code: 'crashed', message: 'x' }, 'rest');
  renderer.draw('placed', 'rest');
  expect(await peer.next()).toMatchObject({ type: 'ImageReady', request_id: 'placed', era: 'wilderness' });
  expect(counts).toContain('out ImageReady unplaced');
});

test('a core without places gets mirrored images without them', async () => {
  const peer = await startPeer();
  const { renderer } = await startTransport(peer, scriptedRenderer(), { mirror: true, project: 'fire' });
  renderer.draw('placeless', 'rest', { era: undefined, biome: undefined });
  expect(await peer.next()).not.toHaveProperty('era');
});

test('paths are those of the core, in what it sends and in what it gets', async () => {
  const peer = await startPeer();
  const { renderer } = await startTransport(peer, scriptedRenderer(), { path_map: { '/images': '/mnt/wall' } });
  await peer.send(pythonRenderRequest({ request_id: 'r1', depth_map: 'file:///mnt/wall/50 %.png' }));
  expect(await peer.next()).toMatchObject({ uri: 'file:///mnt/wall/r1.jpg' });
  expect(renderer.calls[0]?.request.depth_map).toEqual({ uri: 'file:///images/50 %.png' });
});

test('with image_transport = "hybrid" the bytes go along, in order, and an image that is gone is an Alert', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer({ drawAtOnce: false });
  const reads = [Promise.withResolvers<Buffer>(), Promise.withResolvers<Buffer>(), Promise.withResolvers<Buffer>()];
  renderer.onRead = () => reads.shift()?.promise ?? Promise.reject(new Error('one read too many'));
  const [first, second, third] = reads;
  await startTransport(peer, renderer, { image_transport: 'hybrid' });
  renderer.draw('a', 'bus', { biome: 'arctic' });
  renderer.draw('b', 'bus', { format: 'png' });
  renderer.draw('c');
  second?.resolve(Buffer.from('second'));
  first?.resolve(Buffer.from('first'));
  third?.reject(new AppError('image_evicted', 'It has gone.'));
  expect(busImageReady.strict().parse(await peer.next())).toMatchObject({
    request_id: 'a',
    image_data: `data:image/jpeg;base64,${Buffer.from('first').toString('base64')}`,
    width: 8,
    height: 8,
    format: 'jpeg',
  });
  expect(await peer.next()).toMatchObject({
    request_id: 'b',
    image_data: `data:image/png;base64,${Buffer.from('second').toString('base64')}`,
  });
  expect(alert.parse(await peer.next())).toMatchObject({ request_id: 'c', code: 'image_evicted' });
});

test('a request that is sent again long after gets an Alert when its image is gone', async () => {
  const peer = await startPeer();
  const { renderer } = await startTransport(peer);
  const message = pythonRenderRequest({ request_id: 'r1' });
  await peer.send(message);
  await peer.answerTo('r1');
  renderer.onRead = () => Promise.reject(new AppError('image_evicted', 'It has gone.'));
  await peer.send(message);
  expect(await peer.answerTo('r1')).toMatchObject({ type: 'Alert', code: 'image_evicted' });
});

test('the log tells of each type that is not served once, and every such message is answered', async () => {
  const peer = await startPeer();
  const { lines } = await startTransport(peer);
  for (const type of ['LoopRequest', 'LoopRequest', 'AudioRenderRequest', 'LoopRequest']) {
    await peer.send({ type, request_id: type });
    expect(await peer.next()).toMatchObject({ type: 'Alert', code: 'unsupported_message', request_id: type });
  }
  expect(lines.filter((line) => line.endsWith('Bus request refused'))).toEqual([
    'warn Bus request refused',
    'debug Bus request refused',
    'warn Bus request refused',
    'debug Bus request refused',
  ]);
});

test('answers are never answered, so that crossed wires do not talk for ever', async () => {
  const peer = await startPeer();
  await startTransport(peer);
  for (const type of ['Alert', 'ImageReady', 'AudioReady', 'Heartbeat']) await peer.send({ type, request_id: 'x' });
  await peer.send(pythonRenderRequest({ request_id: 'r1' }));
  expect(await peer.next()).toMatchObject({ type: 'ImageReady', request_id: 'r1' });
});

test('when the core moves on, what is queued for other places is given up and counted', async () => {
  const peer = await startPeer();
  const core = await startCorePublisher();
  defer(async () => core.close());
  const { renderer, counts, until } = await startTransport({ ...peer, events: core.events }, scriptedRenderer(), {
    drop_stale: true,
  });
  await core.subscribed;
  await core.publish('DisplayMedia', { type: 'DisplayMedia', uri: 'x' });
  await core.publish('SpaceTimeUpdate', 'no JSON');
  await core.publish('SpaceTimeUpdate', { type: 'SpaceTimeUpdate', era: 'modern' });
  await core.publish('SpaceTimeUpdate', { type: 'SpaceTimeUpdate', era: 'modern', biome: 'river', tags: ['x'] });
  await until(() => counts.length === 5);
  expect(renderer.places).toEqual([{ owner: 'bus', door: 'bus', era: 'modern', biome: 'river' }]);
  expect(counts).toEqual([
    'in other malformed_message',
    'in SpaceTimeUpdate malformed_message',
    'in SpaceTimeUpdate accepted',
    'in SpaceTimeUpdate stale',
    'in SpaceTimeUpdate stale',
  ]);
  expect(peer.received).toEqual([]);
});

test('without drop_stale the core may move on as it likes', async () => {
  const core = await startCorePublisher();
  defer(async () => core.close());
  const { renderer, counts, until } = await startTransport({ events: core.events });
  await core.subscribed;
  await core.publish('SpaceTimeUpdate', { type: 'SpaceTimeUpdate', era: 'modern', biome: 'river' });
  await until(() => counts.length === 1);
  expect(renderer.places).toEqual([]);
});

test('what the last process may not have sent is sent at the start', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const recent = ['old', 'new'].map((id) => renderer.emit(imageEvent(id)));
  let asked: number | undefined;
  await startTransport(
    peer,
    renderer,
    {},
    {
      recentEvents: async (sinceMs) => {
        asked = sinceMs;
        return recent;
      },
    },
  );
  expect(await peer.next(({ request_id }) => request_id === 'new')).toMatchObject({ type: 'ImageReady' });
  expect(asked).toBe(10_000);
});

test('what ends while the server starts is told once, and after what the last process had to say', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const of = (id: string) => ({ ...imageEvent(id), biome: id });
  const before = renderer.emit(of('before'));
  await startTransport(
    peer,
    renderer,
    {},
    {
      recentEvents: async () => {
        const crashed = renderer.emit(of('crashed'));
        renderer.emit(of('meanwhile'));
        return [before, crashed];
      },
    },
  );
  await peer.answerTo('meanwhile');
  expect(peer.received.map(({ request_id }) => request_id)).toEqual(['before', 'crashed', 'meanwhile']);
});
