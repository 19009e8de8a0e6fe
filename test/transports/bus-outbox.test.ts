import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createOutbox } from '../../src/transports/bus-outbox.ts';

/** A socket that bears one pending send, and hands on when the test says so. */
function slowSocket() {
  const sent: string[] = [];
  let pending: { text: string; resolve: () => void; reject: (reason: Error) => void } | undefined;
  return {
    sent,
    get pending() {
      return pending?.text;
    },
    send(bytes: Buffer): Promise<void> {
      if (pending !== undefined) throw new Error('EBUSY');
      return new Promise((resolve, reject) => {
        pending = { text: String(bytes), resolve, reject };
      });
    },
    async accept() {
      const taken = pending;
      pending = undefined;
      if (taken !== undefined) sent.push(taken.text);
      taken?.resolve();
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

function start(limits: { maxMessages: number; maxBytes?: number }) {
  const socket = slowSocket();
  const ends: string[] = [];
  const outbox = createOutbox({
    ...limits,
    send: socket.send,
    onEnd: ({ bytes }, outcome) => ends.push(`${outcome} ${bytes}`),
  });
  const put = (...texts: string[]) => {
    for (const text of texts) outbox.put({ type: 'Alert', bytes: Buffer.from(text) });
  };
  return { socket, ends, outbox, put };
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
