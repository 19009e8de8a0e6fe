import { afterEach, expect, test } from 'vitest';
import { alert, busImageReady } from '../../src/messages/bus.ts';
import { pythonRenderRequest } from '../fakes/core-peer.ts';
import { CORPUS, randomFrom, randomMessage } from '../fuzz/bus-corpus.ts';
import { closeAll, scriptedRenderer, startPeer, startTransport } from './bus-fixtures.ts';

afterEach(closeAll);

test('over real sockets every message of the corpus, and 1000 random ones, are counted, and none stops the next', async () => {
  const peer = await startPeer();
  const renderer = scriptedRenderer();
  const { counts, until } = await startTransport(peer, renderer, { outbox: 10_000, project: 'fire' });
  const random = randomFrom(20_261_124);
  const messages = [...CORPUS, ...Array.from({ length: 1000 }, (_, at) => randomMessage(random, `r${at}`))];
  for (const frames of messages) await peer.send(frames);
  await peer.send(pythonRenderRequest({ request_id: 'the last one' }));
  expect(await peer.answerTo('the last one')).toMatchObject({ type: 'ImageReady' });
  await until(() => counts.filter((line) => line.startsWith('in ')).length === messages.length + 1);
  for (const answer of peer.received) expect(alert.or(busImageReady.strict()).safeParse(answer).success).toBe(true);
  expect(peer.received.length).toBeGreaterThan(messages.length * 0.9);
});
