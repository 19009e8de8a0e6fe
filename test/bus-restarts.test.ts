import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { BIOMES, ERAS } from '../src/messages/projects.ts';
import type { CorePeer } from './fakes/core-peer.ts';
import { pythonRenderRequest, startCorePeer } from './fakes/core-peer.ts';
import { temporaryDir } from './helper.ts';
import { launch } from './launch.ts';

const list = z.object({ renders: z.array(z.object({ request_id: z.string() })) });

/** A core that outlives its server, and the server's program, started as often as wanted in the same folder. */
async function start() {
  const core = await startCorePeer();
  onTestFinished(() => core.close());
  const dir = await temporaryDir();
  const flags = Object.entries({
    'http.port': 0,
    'http.drain_s': 0,
    'bus.requests': core.requests,
    'bus.results': core.results,
    'bus.events': `ipc://${dir}/nobody.sock`,
    // However slow the machine is: what is too old is not told.
    'bus.replay_max_age_s': 3600,
    'generator.crash_attempts': 100,
    'mock.style': 'placeholder',
    'mock.delay_s': 0.02,
  }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const serve = async () => {
    const launched = launch(dir, ['serve', ...flags]);
    const { url } = await launched.line('the server is ready');
    return { ...launched, url: String(url) };
  };
  return { core, serve };
}

const PLACES = ERAS.flatMap((era) => BIOMES.map((biome) => ({ era, biome })));

/** Asks for so many images, each of a place of its own: of one place only the newest is told again. */
async function ask(core: CorePeer, count: number, from = 0): Promise<string[]> {
  const asked = PLACES.slice(from, from + count).map((place, at) => ({ request_id: `r${from + at}`, ...place }));
  for (const fields of asked) await core.send(pythonRenderRequest({ ...fields, width: 64, height: 64 }));
  return asked.map(({ request_id }) => request_id);
}

async function allAnswered(core: CorePeer, ids: readonly string[]): Promise<void> {
  for (const id of ids) if (!core.received.some(({ request_id }) => request_id === id)) await core.answerTo(id);
}

test('a server that is killed again and again owes the core no answer for what it had journalled', async () => {
  const { core, serve } = await start();
  const asked: string[] = [];
  for (let life = 1; life <= 3; life += 1) {
    const server = await serve();
    asked.push(...(await ask(core, 8, asked.length)));
    const isJournalled = async () => {
      const { renders } = list.parse(await (await fetch(`${server.url}/v1/renders?limit=200`)).json());
      return asked.every((id) => renders.some(({ request_id }) => request_id === id));
    };
    while (!(await isJournalled()));
    // Some are drawn and told, one is being drawn, some wait.
    await core.answerTo(asked.at(-6) ?? '');
    server.child.kill('SIGKILL');
    await server.ended;
  }
  await serve();
  await allAnswered(core, asked);
  expect(new Set(core.received.map(({ type }) => type))).toEqual(new Set(['ImageReady']));
});

test('what the core has handed over when the server is told to stop is answered by its next life', async () => {
  const { core, serve } = await start();
  const server = await serve();
  await allAnswered(core, await ask(core, 1));
  const asked = await ask(core, 30, 1);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  await serve();
  await allAnswered(core, asked);
});
