import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { startCorePublisher } from '../fakes/core-peer.ts';
import { startApp, temporaryDir } from '../helper.ts';
import { launch } from '../launch.ts';
import { closeAll, defer, freePort, startPeer } from '../transports/bus-fixtures.ts';
import { problemOf, run } from './run.ts';

afterEach(closeAll);

const SMALL = ['--width', '64', '--height', '64', '--era', 'modern', '--biome', 'river'];

/** Settings of the bus as environment variables, and for a server in this process. */
async function meetingPlace() {
  const address = async () => `tcp://127.0.0.1:${await freePort()}`;
  const bus = { requests: await address(), results: await address(), events: await address(), images: await address() };
  const env = Object.fromEntries(
    Object.entries(bus).map(([key, value]) => [`IMAGE_SERVER__BUS__${key.toUpperCase()}`, value]),
  );
  return { bus, env };
}

describe('image-server bus send', () => {
  it('asks as a core does, depth map and all, and saves the image', async () => {
    const { bus, env } = await meetingPlace();
    const app = await startApp({ config: { bus: { enabled: true, ...bus } } });
    const dir = await temporaryDir();
    const depth = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'grey' } })
      .png()
      .toBuffer();
    await writeFile(join(dir, 'depth.png'), depth);
    const flags = [...SMALL, '--seed', '7', '--depth-map', 'depth.png', '--request-id', 'r1', '-o', 'out.jpg'];
    const { code, lines, stderr } = await run(dir, ['bus', 'send', 'A river', ...flags], env);
    expect({ code, stderr, lines }).toEqual({ code: 0, stderr: '', lines: [join(dir, 'out.jpg')] });
    expect(await sharp(await readFile(join(dir, 'out.jpg'))).metadata()).toMatchObject({ format: 'jpeg', width: 64 });
    const { body } = await app.call('GET', '/v1/renders/r1');
    expect(body.request).toMatchObject({ seed: 7, era: 'modern', depth_map: { image_id: expect.any(String) } });
  });

  it('saves every image of a request', async () => {
    const { bus, env } = await meetingPlace();
    await startApp({ config: { bus: { enabled: true, ...bus } } });
    const dir = await temporaryDir();
    const flags = [...SMALL, '--num-images', '3', '-o', 'out.png', '--json'];
    const { code, lines } = await run(dir, ['bus', 'send', 'A river', ...flags], env);
    const files = [1, 2, 3].map((number) => join(dir, `out-${number}.png`));
    expect([code, lines]).toEqual([0, files.map((file, index) => expect.objectContaining({ index, files: [file] }))]);
    const images = await Promise.all(files.map((file) => readFile(file)));
    expect(new Set(images.map((bytes) => bytes.toString('base64'))).size).toBe(3);
  });

  it('works in the layout pubsub, and prints the whole answer with --json', async () => {
    const { bus, env } = await meetingPlace();
    await startApp({ config: { bus: { enabled: true, layout: 'pubsub', ...bus } } });
    const settings = { ...env, IMAGE_SERVER__BUS__LAYOUT: 'pubsub' };
    const { code, lines } = await run(await temporaryDir(), ['bus', 'send', 'A hill', ...SMALL, '--json'], settings);
    expect([code, lines]).toEqual([
      0,
      [expect.objectContaining({ type: 'ImageReady', uri: expect.stringMatching(/^file:\/\/\//), files: [] })],
    ]);
  });

  it('ends with 1 and the words of the Alert when the request is refused', async () => {
    const { bus, env } = await meetingPlace();
    await startApp({ config: { bus: { enabled: true, ...bus } } });
    const args = ['bus', 'send', 'A hill', '--era', 'nowhere', '--biome', 'river', '--json'];
    const ended = await run(await temporaryDir(), args, env);
    expect(ended.code).toBe(1);
    expect(problemOf(ended)).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('era: must be'),
    });
  });

  it('ends with 69 when a core has the place already', async () => {
    const core = await startPeer();
    const env = { IMAGE_SERVER__BUS__REQUESTS: core.requests, IMAGE_SERVER__BUS__RESULTS: core.results };
    const { code, stderr } = await run(await temporaryDir(), ['bus', 'send', 'A hill', ...SMALL], env);
    expect(code).toBe(69);
    expect(stderr).toContain(`${core.requests} or ${core.results} is taken, by a core as it seems`);
  });

  it('ends with 69 when no image server comes', async () => {
    const { env } = await meetingPlace();
    const { code, stderr } = await run(await temporaryDir(), ['bus', 'send', 'A hill', ...SMALL], env);
    expect([code, stderr]).toEqual([69, expect.stringContaining('No image server came within 10 s')]);
  });

  it('ends with 75 when no answer comes in time', async () => {
    const { bus, env } = await meetingPlace();
    await startApp({ config: { bus: { enabled: true, ...bus }, mock: { delay_s: 60 } } });
    const args = ['bus', 'send', 'A hill', ...SMALL, '--patience', '0.2'];
    const { code, stderr } = await run(await temporaryDir(), args, env);
    expect([code, stderr]).toEqual([75, 'image-server: No answer came within 0.2 s.\n']);
  });
});

describe('image-server bus listen', () => {
  it('prints what the core publishes until an interrupt', async () => {
    const { env } = await meetingPlace();
    const core = await startCorePublisher(env.IMAGE_SERVER__BUS__EVENTS);
    defer(async () => core.close());
    const listening = launch(await temporaryDir(), ['bus', 'listen', '--json'], env);
    await core.subscribed;
    const said = listening.line('');
    said.catch(() => undefined);
    await core.publish('SpaceTimeUpdate', { type: 'SpaceTimeUpdate', era: 'modern', biome: 'river' });
    await core.publish('Odd', '{"x": NaN}');
    while (listening.lines.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    listening.child.kill('SIGINT');
    expect(await listening.ended).toBe(130);
    expect(listening.lines).toEqual([
      { topic: 'SpaceTimeUpdate', message: { type: 'SpaceTimeUpdate', era: 'modern', biome: 'river' } },
      { topic: 'Odd', text: '{"x": NaN}' },
    ]);
  });
});

const checkOutput = z.object({
  findings: z.array(z.object({ what: z.string(), state: z.string(), found: z.string(), mend: z.string() })),
});

describe('image-server bus check', () => {
  /** What `check` finds, by the first word of each line. */
  async function check(dir: string, env: Record<string, string>, ...args: string[]) {
    const { code, lines } = await run(dir, ['bus', 'check', '--json', ...args], env);
    const { findings } = checkOutput.parse(lines[0]);
    return { code, of: Object.fromEntries(findings.map((one) => [String(one.what.split(' ', 1)[0]), one] as const)) };
  }

  it('says that all is well where it is, and takes no request of the core', async () => {
    const core = await startPeer();
    const events = await startCorePublisher();
    defer(async () => events.close());
    const bus = { requests: core.requests, results: core.results, events: events.events };
    const app = await startApp({ config: { bus: { enabled: true, ...bus } } });
    while ((await app.call('GET', '/health')).body.parts.bus.status !== 'ok') await new Promise(setImmediate);
    const env = {
      IMAGE_SERVER__BUS__REQUESTS: core.requests,
      IMAGE_SERVER__BUS__RESULTS: core.results,
      IMAGE_SERVER__BUS__EVENTS: events.events,
      IMAGE_SERVER__CACHE_DIR: join(app.dir, 'images'),
      IMAGE_SERVER_URL: app.url,
    };
    const { code, of } = await check(await temporaryDir(), env);
    expect(Object.entries(of).map(([what, finding]) => [what, finding.state])).toEqual([
      ['requests', 'ok'],
      ['results', 'ok'],
      ['events', 'ok'],
      ['server', 'ok'],
      ['images', 'ok'],
      ['inputs', 'ok'],
    ]);
    expect(code).toBe(0);
  });

  it('looks in the layout pubsub where the core publishes, and where the server does', async () => {
    const { bus, env } = await meetingPlace();
    const core = await startCorePublisher(bus.events);
    defer(async () => core.close());
    const pubsub = { ...env, IMAGE_SERVER__BUS__LAYOUT: 'pubsub' };
    const without = await check(await temporaryDir(), pubsub);
    expect(without.of.published).toMatchObject({ state: 'failed', found: 'nobody listens there' });
    expect(without.of.published?.mend).toBe('start the server, or correct [bus] images');
    const app = await startApp({ config: { bus: { enabled: true, layout: 'pubsub', ...bus } } });
    const { of } = await check(app.dir, pubsub, '--server', app.url);
    expect([of.events?.state, of.published?.state]).toEqual(['ok', 'ok']);
    expect(of).not.toHaveProperty('requests');
  });

  it('says for each thing that is wrong what to do', async () => {
    const { env } = await meetingPlace();
    const dir = await temporaryDir();
    const { code, of } = await check(dir, env, '--server', `http://127.0.0.1:${await freePort()}`);
    expect(code).toBe(69);
    expect(of.requests).toMatchObject({ state: 'failed', found: 'nobody listens there' });
    expect(of.requests?.mend).toBe('start the core, or correct [bus] requests');
    expect(of.events?.state).toBe('note');
    expect(of.server).toMatchObject({ state: 'failed', mend: 'image-server serve, or give --server' });
    expect(of.images).toMatchObject({ state: 'failed', found: 'there is no such file or folder' });
  });

  it('tells a core that hangs from one that is away, and ZeroMQ from other servers', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    const talker = createServer((socket) => socket.end('SSH-2.0\r\n')).listen(0, '127.0.0.1');
    await Promise.all([once(silent, 'listening'), once(talker, 'listening')]);
    onTestFinished(() => {
      silent.close();
      talker.close();
    });
    const at = (server: typeof silent) => `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const dir = await temporaryDir();
    await mkdir(join(dir, 'images'));
    const { env } = await meetingPlace();
    const { of } = await check(dir, {
      ...env,
      IMAGE_SERVER__BUS__REQUESTS: at(silent),
      IMAGE_SERVER__BUS__RESULTS: at(talker),
    });
    expect(of.requests).toMatchObject({ found: 'something listens but does not answer' });
    expect(of.results).toMatchObject({ found: 'what answers is not ZeroMQ' });
    expect(of.images?.state).toBe('ok');
  });

  it('prints a table for people', async () => {
    const { env } = await meetingPlace();
    const { lines } = await run(await temporaryDir(), ['bus', 'check'], env);
    expect(lines[0]).toMatch(/^ +WHAT +FOUND +TO MEND IT$/);
    expect(lines[1]).toMatch(/^failed {2}requests tcp:\/\/127.0.0.1:\d+ +nobody listens there +start the core/);
  });
});
