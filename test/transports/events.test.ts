import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import type { EventType } from '../../src/messages/events.ts';
import { eventBodies, hello, renderProgress } from '../../src/messages/events.ts';
import { createLog } from '../../src/observe/log.ts';
import type { PublishedEvent } from '../../src/render/hub.ts';
import { addEventRoutes, createEventStream } from '../../src/transports/events.ts';
import { createHttpServer, listen } from '../../src/transports/http/server.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { connect, startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { expectProblem, openSocket, send, upgradeRequest } from './raw-http.ts';

/** The event stream on a real server, with events that the test makes. */
async function startStream() {
  const clock = new ManualClock();
  const events = new Set<(event: PublishedEvent) => void>();
  const progress = new Set<(message: z.infer<typeof renderProgress>) => void>();
  const closed: string[] = [];
  const dropped: string[] = [];
  const log = createLog({ level: 'silent', target: { write: () => undefined }, pretty: false });
  const stream = createEventStream({
    renders: {
      subscribe(listener) {
        events.add(listener);
        return () => events.delete(listener);
      },
      subscribeProgress(listener) {
        progress.add(listener);
        return () => progress.delete(listener);
      },
      lastSeq: 41,
      logId: 'log-1',
    },
    clock,
    log,
    server: 'test/1',
    onDrop: (kind) => dropped.push(kind),
    onClose: (reason) => closed.push(reason),
  });
  const config = configSchema.parse({ http: { port: 0 } }).http;
  const http = await createHttpServer({
    config,
    log,
    version: '0.0.0',
    onRefused: () => undefined,
    onAnswer: () => undefined,
    closeSockets: () => stream.close(),
  });
  addEventRoutes(http, stream);
  const url = await listen(http, config);
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= clock.run(http.close().then(() => undefined));
    return stopped;
  };
  onTestFinished(stop);

  let seq = 41;
  return {
    url,
    clock,
    stream,
    closed,
    dropped,
    stop,
    connect: () => connect(`${url.replace('http', 'ws')}/v1/events`),
    /** Commits one event of about so many bytes. */
    emit(bytes = 0): void {
      seq += 1;
      const event = {
        seq,
        time: '2026-11-22T06:00:00.000Z',
        type: 'GeneratorState',
        generator: 'mock',
        state: 'ready',
        reason: 'x'.repeat(bytes),
      } as const;
      for (const tell of events) tell({ owner: 'anonymous', door: 'rest', event, json: JSON.stringify(event) });
    },
    progress(step: number, filler = ''): void {
      const message = {
        type: 'RenderProgress',
        time: '2026-11-22T06:00:00.000Z',
        render_id: 'r',
        request_id: 'r',
        generator: `mock${filler}`,
        step,
        steps: 1000,
        fraction: step / 1000,
        eta_ms: 0,
      } as const;
      for (const tell of progress) tell(message);
    },
  };
}

/** A WebSocket client that never says a word after its greeting: no pongs, no goodbyes. */
async function connectSilently(url: string): Promise<Socket> {
  const socket = await openSocket(url);
  const answered = once(socket, 'data');
  socket.write(upgradeRequest(url));
  expect(String(await answered)).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

/** Lets the kernel and the event loop pass on what is under way. */
async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A client that has stopped reading from its TCP connection. */
async function connectPaused(url: string): Promise<{ socket: WebSocket; tcp: Socket; closed: Promise<number> }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/events`);
  onTestFinished(() => socket.terminate());
  const upgraded = once(socket, 'upgrade');
  await once(socket, 'message');
  const [{ socket: tcp }] = z.tuple([z.object({ socket: z.custom<Socket>() })]).parse(await upgraded);
  tcp.pause();
  return { socket, tcp, closed: new Promise((resolve) => socket.on('close', resolve)) };
}

describe('the event stream', () => {
  it('begins with Hello', async () => {
    const stream = await startStream();
    const { messages } = await stream.connect();
    expect(messages).toEqual([{ type: 'Hello', last_seq: 41, log_id: 'log-1', server: 'test/1', protocol: 1 }]);
  });

  it('tells a whole render in order, with seq growing and progress between', async () => {
    const stepped = new SteppedGenerator();
    const app = await startApp({ overrides: { generators: new Map([['stepped', stepped]]) } });
    const [one, two] = await Promise.all([app.listen(), app.listen()]);
    const greeting = hello.parse(one.messages[0]);
    expect(greeting.server).toMatch(/^experimance-image-server\/\d/);

    const answer = app.render({ prompt: 'a', generator: 'stepped', num_images: 2, request_id: 'visitor' });
    const step = await stepped.call(1);
    for (let at = 1; at <= 20; at += 1) step.hooks.onProgress({ step: at, steps: 20 });
    step.finish();
    await answer;
    await Promise.all([one, two].map(({ until }) => until(({ type, index }) => type === 'ImageReady' && index === 1)));

    const told = one.messages.filter(({ request_id }) => request_id === 'visitor');
    expect(told.map(({ type }) => type)).toEqual([
      'RenderQueued',
      'RenderStarted',
      ...Array(20).fill('RenderProgress'),
      'AttemptEnded',
      'ImageReady',
      'ImageReady',
    ]);
    const seqs = one.messages.flatMap(({ seq }) => (seq === undefined ? [] : [seq]));
    expect(seqs).toEqual(seqs.map((_, at) => greeting.last_seq + 1 + at));

    const progress = told.filter(({ type }) => type === 'RenderProgress').map((frame) => renderProgress.parse(frame));
    expect(progress.map(({ step: at }) => at)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    for (const frame of progress) expect(frame).not.toHaveProperty('seq');
    for (const frame of told.filter(({ seq }) => seq !== undefined)) {
      const { type, seq, time, ...body } = frame;
      expect(Number.isInteger(seq) && !Number.isNaN(Date.parse(time))).toBe(true);
      expect(eventBodies[type as EventType].strict().parse(body)).toEqual(body);
    }
  });

  it('sends all clients the same text', async () => {
    const app = await startApp();
    const clients = await Promise.all([app.listen(), app.listen()]);
    const texts = clients.map(({ socket }) => {
      const heard: string[] = [];
      // One of the two may have come before the generator was ready.
      socket.on('message', (data) => {
        if (String(data).includes('"render_id"')) heard.push(String(data));
      });
      return heard;
    });
    await app.render({ prompt: 'a\u2028ü🎨"', width: 64, height: 64, steps: 3 });
    await Promise.all(clients.map(({ until }) => until(({ type }) => type === 'ImageReady')));
    expect(texts[0]?.length).toBeGreaterThan(5);
    expect(texts[0]).toEqual(texts[1]);
    for (const text of texts[0] ?? []) expect(text).not.toMatch(/[\n\r]/);
  });

  it('shows nobody the paths of files when the server is open to the network', async () => {
    const app = await startApp({ config: { http: { host: '0.0.0.0' }, auth: { anonymous: true } } });
    const client = await app.listen();
    await app.render({ prompt: 'a', width: 64, height: 64 });
    const ready = await client.until(({ type }) => type === 'ImageReady');
    expect(ready).not.toHaveProperty('uri');
    expect(JSON.stringify(client.messages)).not.toContain(app.dir);
  });

  it('answers whatever a client says with an Error, and goes on', async () => {
    const stream = await startStream();
    const { socket, messages, until } = await stream.connect();
    const said: readonly (readonly [string | Buffer, string])[] = [
      ['', 'malformed_json'],
      ['garbage', 'malformed_json'],
      ['{"type":', 'malformed_json'],
      ['null', 'malformed_json'],
      ['[]', 'malformed_json'],
      ['{"type":7}', 'malformed_json'],
      ['{"__proto__":{"type":"x"}}', 'malformed_json'],
      ['['.repeat(30_000), 'malformed_json'],
      [Buffer.from([0, 1, 2, 255]), 'malformed_json'],
      [Buffer.from('{"type":"subscribe"}'), 'malformed_json'],
      ['{"type":"subscribe","since":0}', 'unsupported_message'],
    ];
    for (const [message] of said) socket.send(message, { binary: typeof message !== 'string' });
    stream.emit();
    await until(({ type }) => type === 'GeneratorState');
    await until(() => messages.filter(({ type }) => type === 'Error').length === said.length);
    const errors = messages.filter(({ type }) => type === 'Error');
    expect(errors.map(({ code }) => code)).toEqual(said.map(([, code]) => code));
    for (const error of errors) expect(error.message).toMatch(/JSON|listen|ask/);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('ends the connection of a client that sends a frame over 64 KiB, and only that one', async () => {
    const stream = await startStream();
    const [bad, good, limit] = await Promise.all([stream.connect(), stream.connect(), stream.connect()]);
    limit.socket.send('x'.repeat(65_536));
    bad.socket.send('x'.repeat(65_537));
    expect(await bad.closed).toBe(1009);
    await limit.until(({ type }) => type === 'Error');
    stream.emit();
    await good.until(({ seq }) => seq === 42);
    while (stream.stream.clients > 2) await turn();
    expect(stream.closed).toEqual(['client']);
  });

  it('ends the connection of a client that sends text that is not UTF-8', async () => {
    const stream = await startStream();
    const { socket, closed } = await stream.connect();
    socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect(await closed).toBe(1007);
    while (stream.stream.clients > 0) await turn();
  });

  it('answers plain HTTP with 426', async () => {
    const stream = await startStream();
    const answer = await send(`${stream.url}/v1/events`);
    const { detail } = expectProblem(answer, { status: 426, code: 'upgrade_required' });
    expect(detail).toContain('WebSocket');
    expect(answer.headers.get('upgrade')).toBe('websocket');
  });

  it('knows a client that has left', async () => {
    const stream = await startStream();
    const { socket, closed } = await stream.connect();
    expect(stream.stream.clients).toBe(1);
    socket.close(1000);
    expect(await closed).toBe(1000);
    while (stream.stream.clients > 0) await turn();
    expect(stream.closed).toEqual(['client']);
    stream.emit();
  });
});

describe('a client that does not read', () => {
  it('is told to come back with 1013, while others hear everything in order', async () => {
    const stream = await startStream();
    const fast = await stream.connect();
    const slow = await connectPaused(stream.url);
    let emitted = 0;
    while (stream.closed.length === 0) {
      stream.emit(32_768);
      emitted += 1;
      // The other one has heard it before the next one comes: nobody waits for the slow one.
      const seq = 41 + emitted;
      await fast.until((message) => message.seq === seq);
    }
    expect(stream.closed).toEqual(['slow']);
    expect(stream.stream.clients).toBe(1);
    const seqs = fast.messages.slice(1).map(({ seq }) => seq);
    expect(seqs).toEqual(Array.from({ length: emitted }, (_, at) => 42 + at));

    // What was sent before comes whole and without a hole; then the goodbye.
    const heard: number[] = [];
    slow.socket.on('message', (data) => heard.push(JSON.parse(String(data)).seq));
    slow.tcp.resume();
    expect(await slow.closed).toBe(1013);
    expect(heard).toEqual(Array.from({ length: heard.length }, (_, at) => 42 + at));
    expect(heard.length).toBeLessThan(emitted);
  });

  it('misses progress before it loses its connection', async () => {
    const stream = await startStream();
    const slow = await connectPaused(stream.url);
    for (let step = 1; stream.dropped.length === 0; step += 1) {
      stream.progress(step, 'x'.repeat(32_768));
      await turn();
    }
    expect(stream.dropped).toEqual(['progress']);
    expect(stream.stream.clients).toBe(1);
    slow.tcp.resume();
    const state = once(slow.socket, 'message');
    await state;
    // It reads again, so it is served again.
    const heard = new Promise<void>((resolve) => {
      slow.socket.on('message', (data) => {
        if (JSON.parse(String(data)).type === 'GeneratorState') resolve();
      });
    });
    for (let at = 0; at < 1000 && stream.closed.length === 0; at += 1) await turn();
    stream.emit();
    await heard;
  });

  it('does not fill the memory with answers to what it says', async () => {
    const stream = await startStream();
    const slow = await connectPaused(stream.url);
    while (stream.closed.length === 0) {
      for (let at = 0; at < 1000; at += 1) slow.socket.send('x');
      await turn();
    }
    expect(stream.closed).toEqual(['slow']);
  });

  it('does not keep the server from stopping', async () => {
    const stream = await startStream();
    const slow = await connectPaused(stream.url);
    while (stream.closed.length === 0) {
      stream.emit(262_144);
      await turn();
    }
    await stream.stop();
    expect(slow.socket.readyState).not.toBe(WebSocket.CLOSED);
  });
});

describe('pings', () => {
  it('are answered by clients that live, and end the connections of the dead after two missed ones', async () => {
    const stream = await startStream();
    const alive = await stream.connect();
    const dead = await connectSilently(stream.url);
    const ended = once(dead, 'close');
    expect(stream.stream.clients).toBe(2);
    for (let round = 1; round <= 2; round += 1) {
      const pinged = once(alive.socket, 'ping');
      await stream.clock.advance(30_000);
      await pinged;
      // Its pong is on the way; what it says next comes after it.
      alive.socket.send('{}');
      await alive.until(() => alive.messages.filter(({ type }) => type === 'Error').length === round);
      expect(stream.stream.clients).toBe(2);
    }
    await stream.clock.advance(29_999);
    expect(stream.stream.clients).toBe(2);
    await stream.clock.advance(1);
    expect(stream.stream.clients).toBe(1);
    expect(stream.closed).toEqual(['dead']);
    await ended;

    stream.emit();
    await alive.until(({ seq }) => seq === 42);
    await stream.clock.advance(300_000);
  });
});

describe('the end of the server', () => {
  it('says goodbye with 1001 to clients that answer', async () => {
    const app = await startApp();
    const clients = await Promise.all([app.listen(), app.listen()]);
    const draining = clients.map(({ until }) => until(({ type }) => type === 'ServerDraining'));
    await app.stop();
    expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual([1001, 1001]);
    expect(await Promise.all(draining)).toMatchObject([{ type: 'ServerDraining' }, { type: 'ServerDraining' }]);
  });

  it('does not wait for clients that say nothing', async () => {
    const app = await startApp();
    const silent = await connectSilently(app.url);
    const ended = once(silent, 'close');
    const alive = await app.listen();
    let received = Buffer.alloc(0);
    silent.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    await app.stop();
    expect(await alive.closed).toBe(1001);
    await ended;
    // A close frame: final fragment, opcode 8; two bytes of code and the reason.
    expect(received.includes(Buffer.from([0x88, 10, 0x03, 0xe9]))).toBe(true);
  });

  it('takes no more clients', async () => {
    const stream = await startStream();
    await stream.stop();
    await expect(stream.connect()).rejects.toThrow();
  });
});
