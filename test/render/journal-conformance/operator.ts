import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  allEvents,
  CANCELLED,
  claim,
  drawn,
  eventTypesOf,
  FAILURE,
  find,
  queuedWorks,
} from '../journal-fixtures.ts';

/** Types of the newest events, oldest first. */
async function lastTypes(journal: Journal, count: number): Promise<string[]> {
  return (await allEvents(journal)).slice(-count).map(({ event }) => event.type);
}

const PLACE = { owner: 'bus', door: 'bus', error: CANCELLED, at: AT } as const;

/** What operators and the world of the visitors do to the queue, and what it costs. */
export function operatorOfJournal(open: OpenJournal): void {
  describe('clearQueue', () => {
    it('cancels what waits, of everybody, and leaves what runs', async () => {
      const { journal } = await open();
      const running = await accept(journal);
      await claim(journal);
      const waiting = [
        await accept(journal),
        await accept(journal, { generator: 'other', owner: 'bob' }),
        await accept(journal, { door: 'bus', owner: 'bus' }),
      ];
      expect(await journal.clearQueue({ error: CANCELLED, at: AT })).toEqual({ cancelled: 3 });
      for (const { id } of waiting) {
        expect(await find(journal, id)).toMatchObject({ status: 'cancelled', error: CANCELLED });
        expect(await eventTypesOf(journal, id)).toEqual(['RenderQueued', 'RenderCancelled']);
      }
      expect((await find(journal, running.id)).status).toBe('running');
      expect((await allEvents(journal)).at(-1)?.event).toMatchObject({ type: 'QueueCleared', cancelled: 3 });
      expect(await queuedWorks(journal)).toBe(0);
      for (const generator of ['draw', 'other']) {
        expect(await journal.claim({ generator, at: AT, steadyAt: AT })).toBeUndefined();
      }
    });

    it('cancels what waits for one generator, and says for which', async () => {
      const { journal } = await open();
      await accept(journal, { cacheKey: 'ab' });
      await accept(journal, { cacheKey: 'ab' });
      const other = await accept(journal, { generator: 'other' });
      expect(await journal.clearQueue({ generator: 'draw', error: CANCELLED, at: AT })).toEqual({ cancelled: 2 });
      expect((await find(journal, other.id)).status).toBe('queued');
      const cleared = { type: 'QueueCleared', cancelled: 2, generator: 'draw' };
      expect((await allEvents(journal)).at(-1)?.event).toMatchObject(cleared);
      expect(await queuedWorks(journal)).toBe(1);
      expect(await journal.clearQueue({ generator: 'draw', error: CANCELLED, at: AT })).toEqual({ cancelled: 0 });
    });
  });

  describe('supersedeStale', () => {
    it('cancels what a caller has waiting for another place, but never its newest render', async () => {
      const { journal } = await open();
      const bus = (era: string | undefined, biome: string | undefined) =>
        accept(journal, { owner: 'bus', door: 'bus', request: { prompt: 'a', era, biome } });
      const running = await bus('ancient', 'desert');
      await claim(journal);
      const stale = [await bus('ancient', 'coast'), await bus('modern', 'desert'), await bus(undefined, undefined)];
      const fresh = await bus('modern', 'coast');
      const others = [
        await accept(journal, { owner: 'bus', door: 'rest', request: { prompt: 'a', era: 'ancient' } }),
        await accept(journal, { owner: 'bob', door: 'bus', request: { prompt: 'a', era: 'ancient' } }),
      ];
      const newest = await bus('future', 'coast');
      expect(await journal.supersedeStale({ ...PLACE, era: 'modern', biome: 'coast' })).toEqual({ cancelled: 3 });
      for (const { id } of stale) expect((await find(journal, id)).status).toBe('cancelled');
      for (const { id } of [fresh, newest, ...others]) expect((await find(journal, id)).status).toBe('queued');
      expect((await find(journal, running.id)).status).toBe('running');
      expect(await queuedWorks(journal)).toBe(4);
      expect(await journal.supersedeStale({ ...PLACE, era: 'modern', biome: 'coast' })).toEqual({ cancelled: 0 });
    });

    it('knows the newest also when that is over', async () => {
      const { journal } = await open();
      const old = await accept(journal, { owner: 'bus', door: 'bus', request: { prompt: 'a', era: 'ancient' } });
      expect(await journal.supersedeStale({ ...PLACE, era: 'x', biome: 'y' })).toEqual({ cancelled: 0 });
      await accept(journal, { owner: 'bus', door: 'bus', priority: 1 });
      await journal.finish({ ...(await claim(journal)), result: drawn('a'), at: AT });
      expect(await journal.supersedeStale({ ...PLACE, era: 'x', biome: 'y' })).toEqual({ cancelled: 1 });
      expect((await find(journal, old.id)).status).toBe('cancelled');
    });
  });

  describe('a pause', () => {
    it('lets nothing begin, holds across a restart, and is told once', async () => {
      const { journal, reopen } = await open();
      const { workId } = await accept(journal);
      expect(await journal.isPaused({})).toBe(false);
      await journal.setPaused({ paused: false, at: AT });
      expect(await lastTypes(journal, 1)).toEqual(['RenderQueued']);
      for (const at of [AT, AT + 1]) await journal.setPaused({ paused: true, at });
      expect((await allEvents(journal)).slice(1).map(({ event }) => event)).toMatchObject([
        { type: 'QueuePaused', queued: 1 },
      ]);
      const later = await reopen();
      expect(await later.isPaused({})).toBe(true);
      expect(await later.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
      await accept(later);
      for (const at of [AT, AT + 1]) await later.setPaused({ paused: false, at });
      expect(await lastTypes(later, 3)).toEqual(['QueuePaused', 'RenderQueued', 'QueueResumed']);
      expect((await allEvents(later)).at(-1)?.event).toMatchObject({ queued: 2 });
      expect((await claim(later)).workId).toBe(workId);
    });

    it('lets what runs go on, and end', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const work = await claim(journal);
      await journal.setPaused({ paused: true, at: AT });
      await journal.endAttempt({ ...work, outcome: 'failed', error: FAILURE, at: AT });
      expect(await journal.beginAttempt({ ...work, at: AT })).toBe(2);
      const end = { workId: work.workId, attempt: 2, result: drawn('a'), at: AT };
      expect(await journal.finish(end)).toEqual({ settled: [id] });
    });
  });

  describe('noteCost', () => {
    it('is told with the end of the attempt, or afterwards by itself, and once', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const work = await claim(journal);
      await journal.noteCost({ ...work, costUsd: 0.25, at: AT });
      expect(await lastTypes(journal, 1)).toEqual(['RenderStarted']);
      await journal.endAttempt({ ...work, outcome: 'failed', error: FAILURE, at: AT });
      expect((await allEvents(journal)).at(-1)?.event).toMatchObject({ type: 'AttemptEnded', cost_usd: 0.25 });
      await journal.noteCost({ ...work, costUsd: 0.25, at: AT });
      expect(await lastTypes(journal, 1)).toEqual(['AttemptEnded']);

      const attempt = await journal.beginAttempt({ ...work, at: AT + 5 });
      const end = { workId: work.workId, attempt: attempt ?? 0 };
      await journal.finish({ ...end, result: drawn('a'), at: AT + 6 });
      await journal.noteCost({ ...end, costUsd: 0.5, at: AT + 9 });
      await journal.noteCost({ ...end, costUsd: 0.5, at: AT + 9 });
      const known = (await allEvents(journal)).filter(({ event }) => event.type === 'CostKnown');
      expect(known).toMatchObject([{ event: { render_id: id, generator: 'draw', attempt: 2, cost_usd: 0.5 } }]);
      expect((await find(journal, id)).attempts).toMatchObject([{ costUsd: 0.25 }, { costUsd: 0.5 }]);
    });

    it('adds up by generator and by when its attempt began', async () => {
      const { journal } = await open();
      for (const [generator, at, costUsd] of [
        ['draw', AT, 1],
        ['draw', AT + 10, 2],
        ['draw', AT + 20, undefined],
        ['other', AT + 20, 8],
      ] as const) {
        await accept(journal, { generator });
        const work = await claim(journal, generator, at);
        if (costUsd !== undefined) await journal.noteCost({ ...work, costUsd, at: AT + 99 });
      }
      expect(await journal.spentSince({ generator: 'draw', since: AT })).toEqual({ usd: 3, unknown: 0, lastUsd: 2 });
      expect(await journal.spentSince({ generator: 'draw', since: AT + 1 })).toMatchObject({ usd: 2 });
      expect(await journal.spentSince({ generator: 'draw', since: AT + 11 })).toEqual({
        usd: 0,
        unknown: 0,
        lastUsd: 2,
      });
      expect(await journal.spentSince({ generator: 'other', since: AT })).toEqual({ usd: 8, unknown: 0, lastUsd: 8 });
      expect(await journal.spentSince({ generator: 'none', since: AT })).toEqual({ usd: 0, unknown: 0, lastUsd: 0 });
    });

    it('is not known of attempts that were detached or have an unknown outcome, until it is told', async () => {
      const { journal } = await open();
      const outcomes = ['detached', 'unknown', 'failed', 'cancelled', 'timeout', 'detached'] as const;
      const works = [];
      for (const [index, outcome] of outcomes.entries()) {
        await accept(journal);
        const work = await claim(journal, 'draw', AT + index);
        works.push(work);
        await journal.finish({ ...work, result: { kind: 'failed', error: FAILURE, outcome }, at: AT + 50 });
      }
      const spent = (since: number) => journal.spentSince({ generator: 'draw', since });
      expect(await spent(AT)).toEqual({ usd: 0, unknown: 3, lastUsd: 0 });
      expect((await spent(AT + 1)).unknown).toBe(2);
      await journal.noteCost({ workId: works[0]?.workId ?? '', attempt: 1, costUsd: 0.25, at: AT + 99 });
      await journal.noteCost({ workId: works.at(-1)?.workId ?? '', attempt: 1, costUsd: 0, at: AT + 99 });
      expect(await spent(AT)).toEqual({ usd: 0.25, unknown: 1, lastUsd: 0.25 });
    });

    it('of an attempt that there is not changes nothing', async () => {
      const { journal } = await open();
      const before = await allEvents(journal);
      await journal.noteCost({ workId: 'none', attempt: 1, costUsd: 1, at: AT });
      expect(await allEvents(journal)).toEqual(before);
    });
  });
}
