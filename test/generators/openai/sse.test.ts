import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ServerSentEvent } from '../../../src/generators/openai/sse.ts';
import { readEvents } from '../../../src/generators/openai/sse.ts';

async function read(parts: readonly Uint8Array[]): Promise<ServerSentEvent[]> {
  async function* body() {
    yield* parts;
  }
  const events: ServerSentEvent[] = [];
  for await (const event of readEvents(body())) events.push(event);
  return events;
}

const TEXT = [
  ': a comment\n',
  'event: one\ndata: {"a":"ü 🌊"}\n\n',
  'data: two\ndata:lines\nid: 7\n\n',
  '\n',
  'event: nothing\n\n',
  'event: crlf\r\ndata: three\r\n\r\n',
  'data\n\n',
  'event: cut\ndata: off',
].join('');

const EVENTS = [
  { event: 'one', data: '{"a":"ü 🌊"}' },
  { event: 'message', data: 'two\nlines' },
  { event: 'crlf', data: 'three' },
  { event: 'message', data: '' },
];

it('reads events, and drops what the end cuts off', async () => {
  expect(await read([Buffer.from(TEXT)])).toEqual(EVENTS);
});

it('reads the same however the bytes are cut', async () => {
  const bytes = Buffer.from(TEXT);
  const cuts = fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(cuts, async (at) => {
      const ends = [0, ...at, bytes.length].sort((a, b) => a - b);
      const parts = ends.slice(1).map((end, index) => bytes.subarray(ends[index], end));
      expect(await read(parts)).toEqual(EVENTS);
    }),
  );
});
