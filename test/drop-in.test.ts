import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { ExperimanceCore } from './fakes/experimance-core.ts';
import { startExperimanceCore } from './fakes/experimance-core.ts';
import { SteppedGenerator } from './fakes/stepped-generator.ts';
import type { Answer, ConfigChanges, TestApp } from './helper.ts';
import { startApp } from './helper.ts';

const DESERT = { era: 'wilderness', biome: 'desert' };
const ARCTIC = { era: 'wilderness', biome: 'arctic' };

async function startCore(at?: ExperimanceCore['addresses']) {
  const core = await startExperimanceCore(DESERT, at);
  onTestFinished(() => core.close());
  return core;
}

/** The whole server at that core, with a generator that the test steps. */
async function serve(core: ExperimanceCore, bus: ConfigChanges['bus'] = {}) {
  const stepped = new SteppedGenerator();
  const app = await startApp({
    config: { bus: { enabled: true, ...core.addresses, ...bus }, generator: { strategy: 'stepped' } },
    overrides: { generators: new Map([['stepped', stepped]]) },
  });
  return { stepped, app };
}

test('the core discards the image of a place that it has left, and shows the one of where it is', async () => {
  const core = await startCore();
  const { stepped } = await serve(core);
  await core.moveTo(DESERT, { request_id: 'late' });
  const late = await stepped.call(1);
  await core.moveTo(ARCTIC, { request_id: 'newest' });
  late.finish();
  (await stepped.call(2)).finish();
  await core.judged(2);
  expect(core.discarded).toEqual(['late']);
  expect(core.shown).toMatchObject([{ request_id: 'newest', ...ARCTIC }]);
  expect(core.refused).toEqual([]);
  // As the display opens it: what follows the scheme, as it is.
  const [image] = core.shown;
  expect((await readFile(image?.uri.slice('file://'.length) ?? '')).subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
});

test('with drop_stale, what the core would discard is not drawn: with each image it says where it is', async () => {
  const core = await startCore();
  const { stepped, app } = await serve(core, { drop_stale: true });
  await core.listenedTo;
  await core.moveTo(DESERT, { request_id: 'first' });
  await core.moveTo(ARCTIC, { request_id: 'second' });
  await core.moveTo(ARCTIC, { request_id: 'third' });
  await core.moveTo(DESERT, { request_id: 'stale' });
  await core.moveTo(ARCTIC, { request_id: 'newest' });
  await until(app, '/v1/renders', ({ renders }) => renders.length === 5);
  for (const number of [1, 2]) (await stepped.call(number)).finish();
  // The first is late, the second is shown, and the third is being drawn when the core tells where it is.
  await core.judged(3);
  expect(core.discarded).toEqual(['first']);
  expect(core.refused).toMatchObject([{ type: 'Alert', request_id: 'stale', code: 'superseded' }]);
  for (const number of [3, 4]) (await stepped.call(number)).finish();
  await core.judged(5);
  expect(core.shown.map(({ request_id }) => request_id)).toEqual(['second', 'third', 'newest']);
});

test('a core that was away shows one image on its return, the newest of where it is', async () => {
  const core = await startCore();
  const { stepped, app } = await serve(core);
  await core.moveTo(DESERT, { request_id: 'older' });
  await core.moveTo(DESERT, { request_id: 'newer' });
  await until(app, '/v1/renders', ({ renders }) => renders.length === 2);
  await core.close();
  await until(app, '/health', (health) => JSON.stringify(health).includes('no core at'));
  for (const number of [1, 2]) (await stepped.call(number)).finish();
  await until(app, '/v1/renders?status=succeeded', ({ renders }) => renders.length === 2);
  const again = await startCore(core.addresses);
  await again.judged(1);
  await again.moveTo(DESERT, { request_id: 'next' });
  (await stepped.call(3)).finish();
  await again.judged(2);
  expect(again.shown.map(({ request_id }) => request_id)).toEqual(['newer', 'next']);
});

/** Asks until the answer is as wanted. */
async function until(app: TestApp, path: string, wanted: (body: Answer['body']) => boolean): Promise<void> {
  while (!wanted((await app.call('GET', path)).body));
}
