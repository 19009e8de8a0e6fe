import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createOutbox } from '../../src/transports/bus-outbox.ts';
import type { OutgoingMessage } from '../../src/transports/bus-replay.ts';
import { ManualClock } from '../manual-clock.ts';

const EXPERIMANCE = { maxAgeMs: 10_000, newestOfPlace: true };
const FIRE = { maxAgeMs: 25_000, newestOfPlace: false };

/** A socket that bears one pending send, and hands on when the test says so. */
function slowSocket() {
  const sent: string[] = [];
  let pending:
    | { text: string; resolve: (outcome: 'sent' | 'busy') => void; reject: (reason: Error) => void }
    | undefined;
  return {
    sent,
    get pending() {
      return pending?.text;
    },
    send({ bytes }: OutgoingMessage): Promise<'sent' | 'busy'> {
      if (pending !== undefined) throw new Error('EBUSY');
      return new Promise((resolve, reject) => {
        pending = { text: String(bytes), resolve, reject };
      });
    },
    async accept() {
      const taken = pending;
      pending = undefined;
      if (taken !== undefined) sent.push(taken.text);
      taken?.resolve('sent');
      await nextTurn();
    },
    async refuse() {
      const taken = pending;
      pending = undefined;
      taken?.resolve('busy');
      await nextTurn();
    },
    async fail() {
      const taken = pending;
      pending = undefined;
      taken?.reject(new Error('EAGAIN'));
      await nextTurn();
    },
  };
}

function start(limits: { maxMessages: number; maxBytes?: number }, replay = EXPERIMANCE) {
  const clock = new ManualClock();
  const socket = slowSocket();
  const ends: string[] = [];
  const outbox = createOutbox({
    ...limits,
    replay,
    clock,
    send: socket.send,
    onEnd: ({ bytes }, outcome) => ends.push(`${outcome} ${bytes}`),
  });
  const put = (...texts: string[]) => {
    for (const text of texts) outbox.put({ type: 'Alert', bytes: Buffer.from(text) });
  };
  const putImage = (text: string, place: string) => outbox.put({ type: 'ImageReady', bytes: Buffer.from(text), place });
  return { socket, ends, outbox, put, putImage, clock };
}

test('messages wait in order until the outbox is resumed, and go one at a time', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 10 });
  put('a', 'b', 'c');
  expect([outbox.size, socket.pending]).toEqual([3, undefined]);

  outbox.resume();
  put('d');
  expect([outbox.size, socket.pending]).toEqual([4, 'a']);
  for (let i = 0; i < 4; i++) await socket.accept();

  expect(socket.sent).toEqual(['a', 'b', 'c', 'd']);
  expect(ends).toEqual(['sent a', 'sent b', 'sent c', 'sent d']);
  expect(outbox.size).toBe(0);
});

test('a full outbox drops the oldest and says so', () => {
  const { ends, outbox, put } = start({ maxMessages: 3 });
  put('a', 'b', 'c', 'd', 'e');
  expect(ends).toEqual(['dropped a', 'dropped b']);
  expect(outbox.size).toBe(3);
});

test('bytes are bounded too, but one large message alone may wait', () => {
  const { ends, outbox, put } = start({ maxMessages: 100, maxBytes: 10 });
  put('aaaa', 'bbbb', 'cccc');
  expect(ends).toEqual(['dropped aaaa']);
  put('d'.repeat(50));
  expect(ends).toEqual(['dropped aaaa', 'dropped bbbb', 'dropped cccc']);
  expect(outbox.size).toBe(1);
});

test('what waits is forgotten in the count of bytes once it has gone', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 100, maxBytes: 10 });
  put('aaaaaaaa');
  outbox.resume();
  await socket.accept();
  put('bbbbb', 'ccccc', 'ddddd');
  expect(ends).toEqual(['sent aaaaaaaa']);
});

test('a paused outbox finishes the message under way and keeps the others', async () => {
  const { socket, outbox, put } = start({ maxMessages: 10 });
  outbox.resume();
  put('a', 'b');
  outbox.pause();
  await socket.accept();
  expect([socket.sent, socket.pending, outbox.size]).toEqual([['a'], undefined, 1]);

  outbox.resume();
  await socket.accept();
  expect(socket.sent).toEqual(['a', 'b']);
});

test('resuming while a message is still under way does not send a second one', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 10 });
  outbox.resume();
  put('a', 'b');
  outbox.pause();
  outbox.resume();
  await socket.accept();
  await socket.accept();
  expect(ends).toEqual(['sent a', 'sent b']);
});

test('a send that fails is reported and the next message goes', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 10 });
  outbox.resume();
  put('a', 'b');
  await socket.fail();
  await socket.accept();
  expect(ends).toEqual(['failed a', 'sent b']);
});

test('a send that throws at once is reported like one that rejects', async () => {
  const ends: string[] = [];
  const outbox = createOutbox({
    maxMessages: 10,
    replay: EXPERIMANCE,
    clock: new ManualClock(),
    send() {
      throw new Error('EBUSY');
    },
    onEnd: (_, outcome) => ends.push(outcome),
  });
  outbox.resume();
  outbox.put({ type: 'Alert', bytes: Buffer.from('a') });
  await outbox.empty();
  expect(ends).toEqual(['failed']);
});

test('empty resolves when the last message has gone', async () => {
  const { socket, outbox, put } = start({ maxMessages: 10 });
  await outbox.empty();
  outbox.resume();
  put('a', 'b');
  let isEmpty = false;
  const emptied = outbox.empty().then(() => {
    isEmpty = true;
  });
  await socket.accept();
  expect(isEmpty).toBe(false);
  await socket.accept();
  await emptied;
});

test('closing drops what waits, what is under way, and what comes later', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 10 });
  outbox.resume();
  put('a', 'b');
  outbox.close();
  await socket.fail();
  put('c');
  outbox.resume();
  expect(ends).toEqual(['dropped b', 'dropped a', 'dropped c']);
  await outbox.empty();
});

test('what the peer cannot take yet goes first when it can', async () => {
  const { socket, ends, outbox, put } = start({ maxMessages: 10 });
  outbox.resume();
  put('a', 'b');
  await socket.refuse();
  expect(socket.pending).toBe('a');
  outbox.pause();
  await socket.refuse();
  expect([socket.pending, outbox.size, ends]).toEqual([undefined, 2, []]);

  outbox.resume();
  await socket.accept();
  await socket.accept();
  expect(ends).toEqual(['sent a', 'sent b']);
});

test('a core that comes back gets only the newest image of each place', async () => {
  const { socket, ends, outbox, putImage } = start({ maxMessages: 10 });
  putImage('desert 1', 'desert');
  putImage('arctic 1', 'arctic');
  putImage('desert 2', 'desert');
  outbox.resume();
  await socket.accept();
  await socket.accept();
  expect(socket.sent).toEqual(['arctic 1', 'desert 2']);
  expect(ends).toEqual(['stale desert 1', 'sent arctic 1', 'sent desert 2']);
});

test('a core that has begun to ask before it takes results gets every answer since then', async () => {
  const { socket, ends, outbox, putImage, clock } = start({ maxMessages: 10 });
  putImage('desert of before', 'desert');
  putImage('arctic of before', 'arctic');
  await clock.advance(1);
  const asksSince = clock.elapsed();
  putImage('desert 1', 'desert');
  putImage('desert 2', 'desert');
  outbox.resume(asksSince);
  for (let i = 0; i < 3; i++) await socket.accept();
  expect(socket.sent).toEqual(['arctic of before', 'desert 1', 'desert 2']);
  expect(ends[0]).toBe('stale desert of before');
});

test('what is too old for a core that comes back is not sent', async () => {
  const { ends, outbox, put, putImage, clock } = start({ maxMessages: 10 });
  putImage('old', 'desert');
  put('old alert');
  await clock.advance(10_001);
  outbox.resume();
  expect([ends, outbox.size]).toEqual([['stale old', 'stale old alert'], 0]);
});

test('an image that may have died with the core is sent again, an Alert is not', async () => {
  const { socket, ends, outbox, put, putImage, clock } = start({ maxMessages: 10 });
  outbox.resume();
  putImage('a', 'desert');
  await socket.accept();
  put('alert');
  await socket.accept();
  await clock.advance(9000);
  outbox.pause();
  outbox.resume();
  await socket.accept();
  expect(socket.sent).toEqual(['a', 'alert', 'a']);
  expect(ends).toEqual(['sent a', 'sent alert', 'resent a']);

  await clock.advance(2000);
  outbox.pause();
  outbox.resume();
  expect([socket.pending, outbox.size]).toEqual([undefined, 0]);
});

test('an image that was handed on gives way to a newer one of its place that waits', async () => {
  const { socket, ends, outbox, putImage } = start({ maxMessages: 10 });
  outbox.resume();
  putImage('first', 'desert');
  await socket.accept();
  outbox.pause();
  putImage('second', 'desert');
  outbox.resume();
  await socket.accept();
  expect(socket.sent).toEqual(['first', 'second']);
  expect(ends).toEqual(['sent first', 'sent second']);
});

test('the fire core gets every image of the last 25 s, in order', async () => {
  const { socket, ends, outbox, putImage, clock } = start({ maxMessages: 10 }, FIRE);
  putImage('too old', '/');
  await clock.advance(10_000);
  putImage('tile 1', '/');
  putImage('tile 2', '/');
  await clock.advance(16_000);
  outbox.resume();
  await socket.accept();
  await socket.accept();
  expect(socket.sent).toEqual(['tile 1', 'tile 2']);
  expect(ends).toEqual(['stale too old', 'sent tile 1', 'sent tile 2']);
});

test('what was handed on is remembered within the bounds of the outbox', async () => {
  const { socket, outbox, putImage } = start({ maxMessages: 2 }, FIRE);
  outbox.resume();
  for (const text of ['a', 'b', 'c']) {
    putImage(text, '/');
    await socket.accept();
  }
  outbox.pause();
  outbox.resume();
  await socket.accept();
  await socket.accept();
  expect([socket.sent, socket.pending]).toEqual([['a', 'b', 'c', 'b', 'c'], undefined]);
});
