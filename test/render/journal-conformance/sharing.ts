import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import type { RenderChanges } from '../journal-fixtures.ts';
import {
  AT,
  accept,
  accepted,
  acceptOne,
  allEvents,
  CANCELLED,
  claim,
  drawn,
  eventTypesOf,
  FAILURE,
  find,
  imageOf,
  newRender,
  queuedWorks,
  recover,
  TIMEOUT,
} from '../journal-fixtures.ts';

const KEY = 'ab'.repeat(32);
const AN_HOUR_MS = 3_600_000;

/** Hands in a render with the key; returns it with what the cache did for it. */
async function ask(journal: Journal, changes: RenderChanges = {}) {
  return accepted(await acceptOne(journal, newRender({ cacheKey: KEY, ...changes })));
}

/** Makes the images that answer from now on. */
async function store(journal: Journal, digits: string[], changes: RenderChanges = {}) {
  const { render } = await ask(journal, { useCache: false, ...changes });
  await journal.finish({ ...(await claim(journal)), result: drawn(...digits), at: AT });
  return render;
}

const leave = (journal: Journal, renderId: string) =>
  journal.settle({ renderId, status: 'cancelled', error: CANCELLED, at: AT });

/** How equal requests share what is made for one of them. */
export function sharingOfJournal(open: OpenJournal): void {
  describe('equal requests', () => {
    it('join work that waits, which moves up to the most urgent of them and sinks again when that one leaves', async () => {
      const { journal } = await open();
      const filler = await accept(journal, { priority: 1 });
      const first = await ask(journal);
      expect(first).toMatchObject({ cache: 'miss', render: { queuePosition: 2 } });
      const urgent = await ask(journal, { priority: 5, owner: 'bob' });
      expect(urgent).toMatchObject({ cache: 'joined', render: { workId: first.render.workId, queuePosition: 1 } });
      expect((await find(journal, first.render.id)).queuePosition).toBe(1);
      expect((await find(journal, filler.id)).queuePosition).toBe(2);
      expect(await queuedWorks(journal)).toBe(2);
      // One who is in no hurry holds nobody up.
      const patient = await ask(journal, { priority: -5 });
      expect(patient.render.queuePosition).toBe(1);
      await leave(journal, patient.render.id);
      expect((await find(journal, first.render.id)).queuePosition).toBe(1);

      expect(await leave(journal, urgent.render.id)).toEqual({ settled: true, stoppedWork: undefined });
      expect((await find(journal, first.render.id)).queuePosition).toBe(2);
      expect((await claim(journal)).workId).toBe(filler.workId);
      expect(await leave(journal, first.render.id)).toEqual({ settled: true, stoppedWork: first.render.workId });
      expect(await queuedWorks(journal)).toBe(0);
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
    });

    it('go before others of their priority while one of them came by the bus', async () => {
      const { journal } = await open();
      const filler = await accept(journal);
      const { render } = await ask(journal);
      const visitor = await ask(journal, { door: 'bus', owner: 'bus' });
      expect((await find(journal, filler.id)).queuePosition).toBe(2);
      expect((await find(journal, render.id)).queuePosition).toBe(1);
      await leave(journal, visitor.render.id);
      expect((await find(journal, filler.id)).queuePosition).toBe(1);
      expect((await find(journal, render.id)).queuePosition).toBe(2);
    });

    it('join work that runs, each with a start and a time of its own, and end with it', async () => {
      const { journal } = await open();
      const { render: first } = await ask(journal);
      const { workId, attempt } = await claim(journal);
      const { render: second, cache } = await ask(journal, { owner: 'bob', timeoutMs: 9000, createdAt: AT + 5 });
      expect(cache).toBe('joined');
      expect(second).toMatchObject({ workId, status: 'running', startedAt: AT + 5 });
      expect(second.queuePosition).toBeUndefined();
      expect((await allEvents(journal)).at(-1)).toMatchObject({
        owner: 'bob',
        event: { type: 'RenderStarted', render_id: second.id, attempt: 1, queued_ms: 0 },
      });

      await journal.release({ workId, attempt, at: AT + 10 });
      const again = await claim(journal, 'draw', AT + 20);
      expect(again.waiters).toMatchObject([
        { renderId: first.id, timeoutMs: 1000 },
        { renderId: second.id, timeoutMs: 9000 },
      ]);
      const { settled } = await journal.finish({ ...again, result: drawn('a', 'b'), at: AT + 30 });
      expect(settled).toEqual([first.id, second.id]);
      for (const { id } of [first, second]) {
        expect(await find(journal, id)).toMatchObject({
          status: 'succeeded',
          cached: false,
          images: [imageOf('a'), imageOf('b')],
        });
        expect((await eventTypesOf(journal, id)).filter((type) => type === 'ImageReady')).toHaveLength(2);
      }
    });

    it('are cancelled one by one, and what runs for them stops when the last has left', async () => {
      const { journal } = await open();
      const { render: first } = await ask(journal);
      const { workId, attempt } = await claim(journal);
      const { render: second } = await ask(journal);
      expect(await leave(journal, first.id)).toEqual({ settled: true, stoppedWork: undefined });
      expect(await find(journal, second.id)).toMatchObject({ status: 'running' });
      expect(await leave(journal, second.id)).toEqual({ settled: true, stoppedWork: workId });
      expect(await journal.finish({ workId, attempt, result: drawn('a'), at: AT })).toEqual({ settled: [] });
      // Nobody joins what was given up.
      expect((await ask(journal)).cache).toBe('miss');
    });

    it('time out one by one while they wait', async () => {
      const { journal } = await open();
      const { render: first } = await ask(journal, { queueUntil: AT + 10 });
      const { render: second } = await ask(journal, { queueUntil: AT + 20 });
      const expire = (steadyAt: number) =>
        journal.expireQueued({ unstarted: TIMEOUT, started: FAILURE, at: AT, steadyAt });
      expect(await expire(AT + 9)).toEqual({ expired: 0, nextAt: AT + 10 });
      expect(await expire(AT + 10)).toEqual({ expired: 1, nextAt: AT + 20 });
      expect(await find(journal, first.id)).toMatchObject({ status: 'failed', error: TIMEOUT });
      expect((await find(journal, second.id)).queuePosition).toBe(1);
      expect(await expire(AT + 20)).toEqual({ expired: 1, nextAt: undefined });
      expect(await queuedWorks(journal)).toBe(0);
    });

    it('are answered by stored images at once, also across a restart and while the queue is full', async () => {
      const { journal, reopen } = await open();
      const { workId } = await store(journal, ['a', 'b']);
      const later = await reopen();
      const at = AT + AN_HOUR_MS;
      const render = newRender({ cacheKey: KEY, createdAt: at });
      const taken = accepted(await acceptOne(later, render, 0));
      expect(taken.cache).toBe('hit');
      expect(taken.render).toMatchObject({
        ...{ workId, status: 'succeeded', cached: true, finishedAt: at, attempts: [] },
        images: [imageOf('a'), imageOf('b')],
        timings: { queued_ms: 0, render_ms: 0, store_ms: 0 },
      });
      expect(taken.render.startedAt).toBeUndefined();
      expect(await find(later, render.id)).toEqual(taken.render);
      const events = (await allEvents(later)).slice(-3).map(({ event }) => event);
      expect(events).toMatchObject([
        { type: 'RenderQueued', render_id: render.id, cache: 'hit' },
        { type: 'ImageReady', render_id: render.id, index: 0, of: 2, cached: true },
        { type: 'ImageReady', render_id: render.id, index: 1, of: 2, cached: true },
      ]);
      expect(await later.findShared({ cacheKey: KEY })).toMatchObject([imageOf('a'), imageOf('b')]);
      // What has just been handed out again is safe for as long as what was just made.
      const limits = { maxBytes: 1, targetBytes: 0, keepSince: at };
      expect(await later.evict({ limits, at: at + 1 })).toEqual([]);
    });

    it('are not answered by images of which one is gone', async () => {
      const { journal } = await open();
      await store(journal, ['a', 'b']);
      await journal.lose({ imageIds: ['b'.repeat(64)], at: AT });
      expect(await journal.findShared({ cacheKey: KEY })).toEqual([]);
      const { render, cache } = await ask(journal);
      expect(cache).toBe('miss');
      await journal.finish({ ...(await claim(journal)), result: drawn('a', 'b'), at: AT });
      expect((await find(journal, render.id)).cached).toBe(false);
      expect((await ask(journal)).cache).toBe('hit');
      const limits = { maxBytes: 150, targetBytes: 150, keepSince: AT + 1 };
      expect(await journal.evict({ limits, at: AT })).toHaveLength(1);
      expect((await ask(journal)).cache).toBe('miss');
    });

    it('are answered by the newest images once somebody has asked for new ones', async () => {
      const { journal } = await open();
      const old = await store(journal, ['a']);
      const fresh = await ask(journal, { useCache: false });
      expect(fresh).toMatchObject({ cache: 'bypass', render: { status: 'queued' } });
      expect((await ask(journal)).render.workId).toBe(old.workId);
      await journal.finish({ ...(await claim(journal)), result: drawn('b'), at: AT });
      expect((await ask(journal)).render).toMatchObject({ workId: fresh.render.workId, images: [imageOf('b')] });
    });

    it('share nothing that failed, and nothing without a key', async () => {
      const { journal } = await open();
      await ask(journal);
      await journal.finish({ ...(await claim(journal)), result: { kind: 'failed', error: FAILURE }, at: AT });
      expect((await ask(journal)).cache).toBe('miss');
      for (const _ of [1, 2]) expect((await ask(journal, { cacheKey: undefined })).cache).toBe('bypass');
      expect(await queuedWorks(journal)).toBe(3);
      expect((await ask(journal, { cacheKey: 'cd'.repeat(32) })).cache).toBe('miss');
    });

    it('are joined again after the process has died', async () => {
      const { journal, reopen } = await open();
      const { render: first } = await ask(journal);
      await claim(journal);
      const { render: second } = await ask(journal);
      const later = await reopen();
      expect(await recover(later)).toEqual({ requeued: 1, failed: 0 });
      const third = await ask(later);
      expect(third).toMatchObject({ cache: 'joined', render: { status: 'queued', workId: first.workId } });
      const { waiters } = await claim(later);
      expect(waiters.map(({ renderId }) => renderId)).toEqual([first.id, second.id, third.render.id]);
    });
  });

  describe('clear_queue', () => {
    it('goes on with equal work that runs instead of stopping it', async () => {
      const { journal } = await open();
      const { render: older } = await ask(journal);
      const { workId, attempt } = await claim(journal);
      // Even where a queue is as short as can be: the older one leaves its place.
      const newer = newRender({ cacheKey: KEY, clearQueue: true });
      const taken = accepted(await acceptOne(journal, newer, 1));
      expect(taken).toMatchObject({ cache: 'joined', stoppedWork: [], render: { status: 'running', workId } });
      expect(await find(journal, older.id)).toMatchObject({ status: 'cancelled', error: { code: 'superseded' } });
      expect((await journal.finish({ workId, attempt, result: drawn('a'), at: AT })).settled).toEqual([newer.id]);
    });

    it('takes equal work that waits over, which keeps its place in the queue', async () => {
      const { journal } = await open();
      const { render: older } = await ask(journal);
      await accept(journal, { owner: 'bob' });
      const renders = [newRender({ cacheKey: KEY, clearQueue: true }), newRender({ clearQueue: true })];
      expect(await journal.accept({ renders, maxQueued: 2 })).toEqual({ kind: 'full', queued: 2 });
      expect(await journal.accept({ renders, maxQueued: 3 })).toMatchObject({
        stoppedWork: [],
        renders: [{ cache: 'joined', render: { workId: older.workId, queuePosition: 1 } }, { cache: 'bypass' }],
      });
      expect((await find(journal, older.id)).status).toBe('cancelled');
      expect(await queuedWorks(journal)).toBe(3);
    });

    it('leaves work alone that somebody else waits for', async () => {
      const { journal } = await open();
      const { render: mine } = await ask(journal, { priority: 3 });
      const { render: theirs } = await ask(journal, { owner: 'bob' });
      const filler = await accept(journal, { owner: 'bob', priority: 1 });
      const newer = newRender({ clearQueue: true });
      // The place of what stays is not free.
      expect(await acceptOne(journal, newer, 2)).toEqual({ kind: 'full', queued: 2 });
      expect((await find(journal, mine.id)).status).toBe('queued');
      expect(accepted(await acceptOne(journal, newer, 3)).stoppedWork).toEqual([]);
      expect((await find(journal, mine.id)).status).toBe('cancelled');
      expect((await find(journal, theirs.id)).queuePosition).toBe(2);
      expect((await find(journal, filler.id)).queuePosition).toBe(1);
      expect(await queuedWorks(journal)).toBe(3);
    });
  });

  describe('those who wait for one work', () => {
    it('are no more than may wait at all; stored images answer any number', async () => {
      const { journal } = await open();
      await ask(journal);
      await claim(journal);
      const join = () => acceptOne(journal, newRender({ cacheKey: KEY }), 2);
      expect(await join()).toMatchObject({ kind: 'accepted', cache: 'joined' });
      expect(await join()).toEqual({ kind: 'full', queued: 0 });
      const { interrupted } = journal;
      for (const work of await interrupted({})) await journal.finish({ ...work, result: drawn('a'), at: AT });
      for (const _ of [1, 2, 3]) expect(await join()).toMatchObject({ kind: 'accepted', cache: 'hit' });
    });
  });
}
