import { afterEach, expect, test } from 'vitest';
import { pythonRenderRequest } from '../fakes/core-peer.ts';
import { startCoreProcess } from '../fakes/core-process.ts';
import { closeAll, defer, freeAddresses, isUp, scriptedRenderer, startTransport } from './bus-fixtures.ts';

afterEach(closeAll);

async function startCore(at: { requests: string; results: string }, paceMs?: number) {
  const core = await startCoreProcess(at, paceMs);
  defer(() => core.kill());
  return core;
}

test('a core that is killed again and again is served each time, and sent the image that died with it', async () => {
  const at = await freeAddresses();
  const renderer = scriptedRenderer({ drawAtOnce: false });
  const { transport, until } = await startTransport(at, renderer);
  for (let life = 1; life <= 5; life += 1) {
    const core = await startCore(at);
    if (life > 1) await core.until(({ request_id }) => request_id === `lost-${life - 1}`);
    await until(isUp(transport));
    core.send(pythonRenderRequest({ request_id: `asked-${life}` }));
    await until(() => renderer.calls.length === life);
    renderer.draw(`asked-${life}`);
    await core.until(({ request_id }) => request_id === `asked-${life}`);
    // It may still reach the dying core's buffers, and be gone with them.
    renderer.draw(`lost-${life}`);
    await core.kill();
    await until(() => transport.status().state === 'waiting');
  }
});

test('of what a slow core took along when it was killed, its next life gets the newest', async () => {
  const at = await freeAddresses();
  const renderer = scriptedRenderer();
  const { transport, counts, until } = await startTransport(at, renderer);
  const slow = await startCore(at, 200);
  await until(isUp(transport));
  for (let image = 1; image <= 40; image += 1) renderer.draw(`r${image}`);
  await until(() => counts.filter((line) => line === 'out ImageReady sent').length === 40);
  expect(slow.received.length).toBeLessThan(40);
  await slow.kill();
  await until(() => transport.status().state === 'waiting');

  const next = await startCore(at);
  await next.until(({ request_id }) => request_id === 'r40');
  expect(next.received.filter(({ type }) => type === 'ImageReady')).toHaveLength(1);
  expect(counts.filter((line) => line.startsWith('out'))).toContain('out ImageReady resent');
});

test('a core that hangs is noticed; what is drawn meanwhile is kept, and the newest sent when it wakes', async () => {
  const at = await freeAddresses();
  const renderer = scriptedRenderer();
  // Longer than it takes to notice and to come back.
  const { transport, until } = await startTransport(at, renderer, { replay_max_age_s: 120 });
  const core = await startCore(at);
  await until(isUp(transport));
  core.hang();
  await until(() => transport.status().reason?.includes(at.results) === true);
  renderer.draw('old');
  renderer.draw('new');
  expect(transport.status().outbox).toBe(2);
  core.wake();
  await core.until(({ request_id }) => request_id === 'new');
  expect(core.received.map(({ request_id }) => request_id)).not.toContain('old');
  core.send(pythonRenderRequest({ request_id: 'next' }));
  await core.until(({ request_id }) => request_id === 'next');
});
