import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createSteadyTime } from '../../src/render/clock.ts';
import type { Journal } from '../../src/render/journal.ts';
import type { EvictedFile } from '../../src/render/records.ts';
import { createRetention } from '../../src/render/retention.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import type { TestApp } from '../helper.ts';
import { startApp, temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { accept, claim } from './journal-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

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

async function untilGone(path: string, app: TestApp, clock: ManualClock): Promise<void> {
  while (existsSync(path)) {
    await clock.advance(MINUTE);
    // What is due gets its turn in the journal, lest much more time passes than it takes.
    await app.call('GET', '/v1/renders');
  }
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

  await untilGone(first.path, app, clock);
  expect(await status(app, first.id)).toBe(410);
  const { body } = await app.call('GET', `/v1/images/${first.id}`);
  expect(body).toMatchObject({ code: 'image_evicted', status: 410 });
  const metrics = String((await app.call('GET', '/metrics')).body);
  expect(metrics).toMatch(/image_server_evictions_total\{kind="image"\} [1-9]/);
});

it('an image that is made again is there again', async () => {
  const { app, clock } = await startSmall(1);
  const first = await image(app, 1);
  await untilGone(first.path, app, clock);
  expect(await status(app, first.id)).toBe(410);
  expect((await image(app, 1)).id).toBe(first.id);
  expect(await status(app, first.id)).toBe(200);
});

it('max_age_days lets go what was not used for so long, although there is room', async () => {
  const { app, clock } = await startSmall(10_000, { max_age_days: 1 });
  const old = await image(app, 1);
  await clock.advance(23 * 60 * MINUTE);
  const young = await image(app, 2);
  await untilGone(old.path, app, clock);
  expect(await status(app, old.id)).toBe(410);
  expect(await status(app, young.id)).toBe(200);
});

describe('an image that is made again while it is being given up', () => {
  const BYTES = Buffer.from('always the same');

  /** A store with one image that has to go. `save` makes it again; what it resolves with enters it. */
  async function startFull(change: (journal: Journal, save: () => Promise<() => Promise<void>>) => Partial<Journal>) {
    const { journal } = await openJournal();
    const store = await createFileImageStore({ dir: await temporaryDir() });
    const clock = new ManualClock();
    const gone: EvictedFile[] = [];
    const save = async () => {
      await accept(journal, { createdAt: clock.now() });
      const { workId, attempt } = await claim(journal);
      const hold = store.hold();
      const { imageId, bytes } = await store.save(BYTES, 'png', hold);
      const image = { imageId, bytes, format: 'png', width: 8, height: 8, seed: 1 } as const;
      return async () => {
        const result = { kind: 'succeeded', images: [image], renderMs: 1, storeMs: 1 } as const;
        await journal.finish({ workId, attempt, result, at: clock.now() });
        hold.release();
      };
    };
    const silent = () => undefined;
    const retention = createRetention({
      journal: { ...journal, ...change(journal, save) },
      ...{
        store,
        clock,
        steadyNow: clock.now.bind(clock),
        lastUse: 0,
        maxBytes: 1,
        pinMs: MINUTE,
        maxAgeMs: undefined,
        keepMs: 1000 * MINUTE,
      },
      log: { debug: silent, info: silent, warn: silent, error: silent },
      onEvicted: (file) => gone.push(file),
    });
    await (await save())();
    await clock.advance(10 * MINUTE);
    const { imageId } = await store.save(BYTES, 'png');
    return { journal, store, retention, gone, imageId };
  }

  it('stays, when it is entered before its file is to go', async () => {
    const { journal, store, retention, gone, imageId } = await startFull((real, save) => ({
      async evict(call) {
        const files = await real.evict(call);
        if (files.length > 0) await (await save())();
        return files;
      },
    }));
    await retention.round();
    expect(gone).toEqual([]);
    expect(await store.has(imageId, 'png')).toBe(true);
    expect((await journal.findImage({ imageId }))?.evictedAt).toBeUndefined();
    expect(await journal.doomed({})).toEqual([]);
  });

  it('stays, when it is saved before its file is to go, and entered afterwards', async () => {
    let enter = async () => {};
    const { journal, store, retention, gone, imageId } = await startFull((real, save) => ({
      async evict(call) {
        const files = await real.evict(call);
        if (files.length > 0) enter = await save();
        return files;
      },
    }));
    await retention.round();
    expect(gone).toEqual([]);
    await enter();
    expect(await store.has(imageId, 'png')).toBe(true);
    expect(await journal.doomed({})).toEqual([]);
  });

  it('is there again, when it is saved while its file goes', async () => {
    let saved: Promise<() => Promise<void>> | undefined;
    const { journal, store, retention, gone, imageId } = await startFull((real, save) => ({
      isDoomed(call) {
        saved ??= save();
        return real.isDoomed(call);
      },
    }));
    await retention.round();
    expect(gone).toHaveLength(1);
    await (await saved)?.();
    expect(await store.has(imageId, 'png')).toBe(true);
    expect((await journal.findImage({ imageId }))?.evictedAt).toBeUndefined();
  });

  it('goes in the next round, when nothing came of it', async () => {
    const hold: { release?: () => void } = {};
    const { store, retention, gone, imageId, journal } = await startFull((real) => ({
      async evict(call) {
        const files = await real.evict(call);
        if (files.length > 0) {
          const mine = store.hold();
          await store.save(BYTES, 'png', mine);
          hold.release = () => mine.release();
        }
        return files;
      },
    }));
    await retention.round();
    expect(gone).toEqual([]);
    hold.release?.();
    await retention.round();
    expect(gone).toHaveLength(1);
    expect(await store.has(imageId, 'png')).toBe(false);
    expect(await journal.doomed({})).toEqual([]);
  });
});

describe('a clock that jumps', () => {
  const DAY = 86_400_000;
  const JUMPS = [
    ['forward', 3 * DAY],
    ['back', -3 * DAY],
  ] as const;
  const silent = () => undefined;

  /** Journal, store and retention as the server puts them together, in a folder that another one may have left. */
  async function startAt(clock: ManualClock, dir: string, limits: { maxBytes?: number; maxAgeMs?: number }) {
    const { journal } = await openJournal(dir);
    const store = await createFileImageStore({ dir });
    const lastUse = await journal.latestTime({});
    const steadyNow = createSteadyTime(clock, lastUse);
    const { round } = createRetention({
      ...{ journal, store, clock, steadyNow, lastUse, maxBytes: 1000, pinMs: 10 * MINUTE, maxAgeMs: undefined },
      ...{ keepMs: 2 * DAY, onEvicted: silent, ...limits },
      log: { debug: silent, info: silent, warn: silent, error: silent },
    });
    /** A render with an image of 1000 bytes. */
    async function draw(name: string) {
      const times = { at: clock.now(), steadyAt: steadyNow() };
      const render = await accept(journal, { createdAt: times.at, steadyAt: times.steadyAt });
      const { workId, attempt } = await claim(journal, 'draw', clock.now());
      const { imageId, bytes } = await store.save(Buffer.alloc(1000, name), 'png');
      const image = { imageId, bytes, format: 'png', width: 8, height: 8, seed: 1 } as const;
      const result = { kind: 'succeeded', images: [image], renderMs: 1, storeMs: 1 } as const;
      await journal.finish({ workId, attempt, result, ...times });
      return {
        isThere: () => store.has(imageId, 'png'),
        isKnown: async () => (await journal.findRender({ id: render.id, owner: 'ann' })) !== undefined,
      };
    }
    /** Lets time pass, with a round at the end of each hour. */
    async function pass(ms: number) {
      for (let left = ms; left > 0; left -= 60 * MINUTE) {
        await clock.advance(Math.min(left, 60 * MINUTE));
        await round();
      }
    }
    return { journal, draw, round, pass };
  }

  it.each(JUMPS)('%s takes the protection of young images from none, and the order of use stays', async (_, jump) => {
    const clock = new ManualClock();
    const { draw, round, pass } = await startAt(clock, await temporaryDir(), { maxBytes: 1500 });
    const old = await draw('a');
    await pass(2 * MINUTE);
    clock.jump(jump);
    const young = await draw('b');
    await round();
    await pass(7 * MINUTE);
    expect([await old.isThere(), await young.isThere()]).toEqual([true, true]);
    await pass(2 * MINUTE);
    expect([await old.isThere(), await young.isThere()]).toEqual([false, true]);
  });

  it.each(JUMPS)('%s makes no image and no render older, nor younger', async (_, jump) => {
    const clock = new ManualClock();
    const { draw, round, pass } = await startAt(clock, await temporaryDir(), { maxBytes: 9000, maxAgeMs: 2 * DAY });
    const first = await draw('a');
    await round();
    clock.jump(jump);
    await pass(DAY);
    const second = await draw('b');
    await round();
    const there = async () => [await first.isThere(), await second.isThere()];
    const known = async () => [await first.isKnown(), await second.isKnown()];
    await pass(DAY - 2 * MINUTE);
    expect([...(await there()), ...(await known())]).toEqual([true, true, true, true]);
    // What is over is known to the hour.
    await pass(62 * MINUTE);
    expect([...(await there()), ...(await known())]).toEqual([false, true, false, true]);
    await pass(DAY + 60 * MINUTE);
    expect([...(await there()), ...(await known())]).toEqual([false, false, false, false]);
  });

  it.each(JUMPS)('%s while nothing runs leaves what was young, and the order of use', async (_, jump) => {
    const before = new ManualClock();
    const dir = await temporaryDir();
    const first = await startAt(before, dir, { maxBytes: 1500 });
    const old = await first.draw('a');
    await before.advance(5 * MINUTE);
    const young = await first.draw('b');
    await first.journal.close();
    const clock = new ManualClock(before.now() + jump);
    const { draw, pass } = await startAt(clock, dir, { maxBytes: 1500 });
    await pass(1);
    const newest = await draw('c');
    const there = async () => [await old.isThere(), await young.isThere(), await newest.isThere()];
    await pass(4 * MINUTE);
    expect(await there()).toEqual([true, true, true]);
    await pass(2 * MINUTE);
    expect(await there()).toEqual([false, true, true]);
    await pass(3 * MINUTE);
    expect(await there()).toEqual([false, true, true]);
    await pass(2 * MINUTE);
    expect(await there()).toEqual([false, false, true]);
  });

  it.each(JUMPS)('%s changes nothing of how long an idempotency key counts', async (_, jump) => {
    const clock = new ManualClock();
    const app = await startApp({ overrides: { clock } });
    const ask = async () => {
      const key = { 'idempotency-key': 'one', prefer: 'wait=60' };
      return (await app.call('POST', '/v1/renders', { prompt: 'a delta' }, key)).body.id;
    };
    const id = await ask();
    clock.jump(jump);
    expect(await ask()).toBe(id);
    await clock.advance(23 * 60 * MINUTE);
    expect(await ask()).toBe(id);
    await clock.advance(2 * 60 * MINUTE);
    expect(await ask()).not.toBe(id);
  });

  it('does not change how old the oldest work is that waits', async () => {
    const clock = new ManualClock();
    const app = await startApp({ overrides: { clock } });
    await app.call('POST', '/v1/queue/pause');
    await app.call('POST', '/v1/renders', { prompt: 'a delta' });
    await clock.advance(2 * MINUTE);
    for (const jump of [DAY, -2 * DAY]) {
      clock.jump(jump);
      const metrics = String((await app.call('GET', '/metrics')).body);
      expect(metrics).toContain('image_server_queue_oldest_seconds{generator="mock"} 120\n');
    }
  });
});
