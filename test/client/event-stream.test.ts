import { describe, expect, it, onTestFinished } from 'vitest';
import type { WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import { createClient } from '../../src/client/client.ts';
import type { StreamMessage } from '../../src/client/stream-messages.ts';
import { isKnownMessage } from '../../src/client/stream-messages.ts';
import { startApp } from '../helper.ts';
import { deadAddress, problem, scriptedServer } from './scripted-server.ts';

const HELLO = { type: 'Hello', last_seq: 0, log_id: 'l', server: 's', protocol: 1 };

/** A WebSocket server that does with each connection what the test says. */
async function streamServer(serve: (socket: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', serve);
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`;
}

/** Everything until the end, with the error if that was one. */
async function readAll(messages: AsyncIterable<StreamMessage>) {
  const read: StreamMessage[] = [];
  try {
    for await (const message of messages) read.push(message);
    return { read };
  } catch (error) {
    return { read, error };
  }
}

describe('the client’s event stream', () => {
  it('tells all that happens to a render, and ends with the loop', async () => {
    const app = await startApp();
    const client = createClient({ server: app.url });
    const events = client.events();
    expect((await events.next()).value).toMatchObject({ type: 'Hello', protocol: 1 });
    const { id } = await client.render({ prompt: 'x', width: 64, height: 64 });
    const types: string[] = [];
    for await (const message of events) {
      if (isKnownMessage(message) && 'render_id' in message && message.render_id === id) types.push(message.type);
      if (message.type === 'ImageReady') break;
    }
    expect(types.filter((type) => type !== 'RenderProgress')).toEqual([
      'RenderQueued',
      'RenderStarted',
      'AttemptEnded',
      'ImageReady',
    ]);
    expect((await events.next()).done).toBe(true);
  });

  it('throws when the server stops', async () => {
    const app = await startApp();
    const events = createClient({ server: app.url }).events();
    await events.next();
    const [{ error }] = await Promise.all([readAll(events), app.stop()]);
    expect(error).toMatchObject({ code: 'disconnected', retryable: true });
    expect(String(error)).toContain('shutdown');
  });

  it('passes on types and keys that it does not know', async () => {
    const url = await streamServer((socket) => {
      socket.send(JSON.stringify({ ...HELLO, motto: 'new' }));
      socket.send(JSON.stringify({ type: 'Tomorrow', seq: 1, what: ['ever'] }));
      socket.close(1000);
    });
    const { read, error } = await readAll(createClient({ server: url }).events());
    expect(read).toEqual([
      { ...HELLO, motto: 'new' },
      { type: 'Tomorrow', seq: 1, what: ['ever'] },
    ]);
    expect(read.map(isKnownMessage)).toEqual([true, false]);
    expect(error).toBeUndefined();
  });

  it.each([
    ['no JSON', 'hello'],
    ['no type', '{"seq": 1}'],
    ['a known type of another shape', '{"type": "RenderFailed", "seq": 1}'],
  ])('throws after the last good message when there comes %s', async (_, text) => {
    const url = await streamServer((socket) => {
      socket.send(JSON.stringify(HELLO));
      socket.send(text);
    });
    const { read, error } = await readAll(createClient({ server: url }).events());
    expect(read).toEqual([HELLO]);
    expect(error).toMatchObject({ code: 'unexpected_answer' });
  });

  it('throws when the connection is cut, or closed because it was read too slowly', async () => {
    const cut = await streamServer((socket) => socket.send(JSON.stringify(HELLO), () => socket.terminate()));
    expect((await readAll(createClient({ server: cut }).events())).error).toMatchObject({ code: 'disconnected' });
    const slow = await streamServer((socket) => {
      socket.send(JSON.stringify(HELLO));
      socket.close(1013, 'slow');
    });
    const { read, error } = await readAll(createClient({ server: slow }).events());
    expect(read).toEqual([HELLO]);
    expect(String(error)).toContain('too slowly');
  });

  it('does not keep more than it can hold for a loop that does not read', async () => {
    let closed = () => {};
    const left = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const url = await streamServer((socket) => {
      socket.once('close', closed);
      for (let seq = 0; seq <= 10_000; seq += 1) socket.send(`{"type":"Tomorrow","seq":${seq}}`);
    });
    const events = createClient({ server: url }).events();
    await left;
    const { read, error } = await readAll(events);
    expect(read).toHaveLength(10_001);
    expect(error).toMatchObject({ code: 'disconnected' });
  });

  it('is unreachable where nobody listens, or where no event stream is', async () => {
    const dead = await readAll(createClient({ server: await deadAddress() }).events());
    expect(dead.error).toMatchObject({ code: 'unreachable', retryable: true });
    const { url } = await scriptedServer(problem(404, 'not_found'));
    expect((await readAll(createClient({ server: url }).events())).error).toMatchObject({ code: 'unreachable' });
  });

  it('ends without an error when its signal says so, also amid the connecting', async () => {
    const url = await streamServer((socket) => socket.send(JSON.stringify(HELLO)));
    const leaving = new AbortController();
    const events = createClient({ server: url }).events({ signal: leaving.signal });
    await events.next();
    const rest = readAll(events);
    leaving.abort();
    expect(await rest).toEqual({ read: [] });

    const early = new AbortController();
    const nothing = readAll(createClient({ server: url }).events({ signal: early.signal }));
    early.abort();
    expect(await nothing).toEqual({ read: [] });
    expect(() => createClient({ server: url }).events({ signal: AbortSignal.abort('late') })).toThrow('late');
  });
});
