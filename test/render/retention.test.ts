import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
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
    await (await save())();
    await clock.advance(10 * MINUTE);
    const silent = () => undefined;
    const retention = createRetention({
      journal: { ...journal, ...change(journal, save) },
      ...{ store, clock, maxBytes: 1, pinMs: MINUTE, maxAgeMs: undefined, keepMs: 1000 * MINUTE },
      log: { debug: silent, info: silent, warn: silent, error: silent },
      onEvicted: (file) => gone.push(file),
    });
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
          hold.release = mine.release;
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
