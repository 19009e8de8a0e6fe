import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';

const MINUTE = 60_000;

/** A server whose store holds as much as a few small images take. */
async function startSmall(kilobytes: number, cache = {}): Promise<{ app: TestApp; clock: ManualClock }> {
  const clock = new ManualClock();
  const app = await startApp({
    config: { max_cache_size_gb: kilobytes / 2 ** 20, cache: { pin_s: 600, ...cache } },
    overrides: { clock },
  });
  return { app, clock };
}

async function image(app: TestApp, seed: number): Promise<{ id: string; path: string; bytes: number }> {
  const { body } = await app.render({ prompt: 'a delta', width: 256, height: 256, seed });
  const [{ image_id: id, uri, bytes }] = body.images;
  return { id, path: uri.slice('file://'.length), bytes };
}

async function status(app: TestApp, id: string): Promise<number> {
  return (await app.call('GET', `/v1/images/${id}`)).status;
}

/** Lets time pass until a round of the retention has been logged, which is when files went. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += MINUTE) await clock.advance(MINUTE);
}

async function untilGone(path: string, clock: ManualClock): Promise<void> {
  while (existsSync(path)) await clock.advance(MINUTE);
}

it('beyond its size the store gives up what was used least recently, and answers 410 for it', async () => {
  const { app, clock } = await startSmall(20);
  const first = await image(app, 1);
  await clock.advance(2 * MINUTE);
  const images = [first];
  for (let seed = 2; seed < 9; seed += 1) images.push(await image(app, seed));
  expect(images.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(20 * 1024);
  // Within pin_s all of them are safe.
  await pass(clock, 5 * MINUTE);
  for (const { id } of images) expect(await status(app, id)).toBe(200);

  await untilGone(first.path, clock);
  expect(await status(app, first.id)).toBe(410);
  const { body } = await app.call('GET', `/v1/images/${first.id}`);
  expect(body).toMatchObject({ code: 'image_evicted', status: 410 });
  const metrics = String((await app.call('GET', '/metrics')).body);
  expect(metrics).toMatch(/image_server_evictions_total\{kind="image"\} [1-9]/);
});

it('an image that is made again is there again', async () => {
  const { app, clock } = await startSmall(1);
  const first = await image(app, 1);
  await untilGone(first.path, clock);
  expect(await status(app, first.id)).toBe(410);
  expect((await image(app, 1)).id).toBe(first.id);
  expect(await status(app, first.id)).toBe(200);
});

it('max_age_days lets go what was not used for so long, although there is room', async () => {
  const { app, clock } = await startSmall(10_000, { max_age_days: 1 });
  const old = await image(app, 1);
  await clock.advance(23 * 60 * MINUTE);
  const young = await image(app, 2);
  await untilGone(old.path, clock);
  expect(await status(app, old.id)).toBe(410);
  expect(await status(app, young.id)).toBe(200);
});
