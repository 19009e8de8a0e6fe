import { expect, onTestFinished, test } from 'vitest';
import { pythonRenderRequest, startCorePeer } from './fakes/core-peer.ts';
import { SteppedGenerator } from './fakes/stepped-generator.ts';
import { startApp } from './helper.ts';

async function start() {
  const core = await startCorePeer();
  onTestFinished(() => core.close());
  const generator = new SteppedGenerator();
  const app = await startApp({
    config: {
      generator: { strategy: 'stepped' },
      bus: { enabled: true, requests: core.requests, results: core.results },
    },
    overrides: { generators: new Map([['stepped', generator]]) },
  });
  onTestFinished(() => generator.close());
  return { core, generator, app };
}

test('a hundred equal messages are one render, and one that comes after its end gets the result again', async () => {
  const { core, generator, app } = await start();
  const message = pythonRenderRequest({ request_id: 'r1', width: 64, height: 64 });
  for (let copy = 0; copy < 100; copy += 1) await core.send(message);
  // What was sent after them tells that all of them have been read.
  await core.send(pythonRenderRequest({ request_id: 'r2', width: 64, height: 64 }));
  while ((await app.call('GET', '/v1/renders/r2')).status !== 200) await new Promise((next) => setImmediate(next));
  expect((await app.call('GET', '/v1/renders')).body.renders).toHaveLength(2);
  (await generator.call(1)).finish();
  const first = await core.answerTo('r1');
  await core.send(message);
  expect(await core.answerTo('r1')).toEqual(first);
  (await generator.call(2)).finish();
  await core.answerTo('r2');
  expect(generator.calls).toHaveLength(2);
});

test('a known id with another body is refused with an Alert, and its render goes on', async () => {
  const { core, generator, app } = await start();
  await core.send(pythonRenderRequest({ request_id: 'r1', width: 64, height: 64 }));
  const step = await generator.call(1);
  await core.send(pythonRenderRequest({ request_id: 'r1', prompt: 'quite another place', width: 64, height: 64 }));
  expect(await core.answerTo('r1')).toMatchObject({ type: 'Alert', code: 'request_id_conflict' });
  step.finish();
  expect(await core.answerTo('r1')).toMatchObject({ type: 'ImageReady' });
  expect((await app.call('GET', '/v1/renders')).body.renders).toHaveLength(1);
});
