import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { ClaimedWork, Fallback } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
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
  succeeded,
  TIMEOUT,
} from '../journal-fixtures.ts';

const KEY = 'ab'.repeat(32);
const OTHER_KEY = 'cd'.repeat(32);

/** Hands work on to another generator, as of `at` by every clock. */
function fallBack(journal: Journal, work: ClaimedWork, to: Partial<Fallback> = {}, changes: object = {}) {
  return journal.fallBack({
    workId: work.workId,
    attempt: work.attempt,
    to: { generator: 'other', spec: { ...work.spec, steps: 2 }, ignored: [], ...to },
    error: FAILURE,
    outcome: 'failed',
    ...{ at: AT, steadyAt: AT, ...changes },
  });
}

const failed = { outcome: 'failed', error: FAILURE, at: AT } as const;

/** How work is tried again, and by others. */
export function fallbacksOfJournal(open: OpenJournal): void {
  describe('beginAttempt', () => {
    it('counts on, for the attempt whose work it is only', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId } = await claim(journal);
      await journal.endAttempt({ workId, attempt: 1, ...failed });
      expect(await journal.beginAttempt({ workId, attempt: 1, at: AT + 1 })).toBe(2);
      expect(await journal.beginAttempt({ workId, attempt: 1, at: AT + 1 })).toBeUndefined();
      expect(await journal.finish({ workId, attempt: 1, result: succeeded(), at: AT })).toEqual({ settled: [] });
      const [first, second] = (await find(journal, id)).attempts;
      expect(first).toMatchObject({ attempt: 1, outcome: 'failed', error: FAILURE });
      expect(second).toEqual({ attempt: 2, generator: 'draw', startedAt: AT + 1 });
      expect(await journal.finish({ workId, attempt: 2, result: succeeded(), at: AT })).toEqual({ settled: [id] });
      expect(await journal.beginAttempt({ workId, attempt: 2, at: AT })).toBeUndefined();
    });

    it('begins nothing for work that nobody waits for, or that went back to the queue', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId } = await claim(journal);
      await journal.release({ workId, attempt: 1, at: AT });
      expect(await journal.beginAttempt({ workId, attempt: 1, at: AT })).toBeUndefined();
      await claim(journal);
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      expect(await journal.beginAttempt({ workId, attempt: 2, at: AT })).toBeUndefined();
    });
  });

  describe('claim', () => {
    it('tells how often each generator has failed at the work, and counts nothing else', async () => {
      const { journal, reopen } = await open();
      await accept(journal);
      const { workId } = await claim(journal);
      const outcomes = ['failed', 'unknown', 'timeout', 'cancelled', 'detached'] as const;
      for (const [index, outcome] of outcomes.entries()) {
        await journal.endAttempt({ workId, attempt: index + 1, outcome, error: FAILURE, at: AT });
        await journal.beginAttempt({ workId, attempt: index + 1, at: AT });
      }
      await journal.release({ workId, attempt: 6, at: AT });
      const work = await claim(journal);
      expect(work).toMatchObject({ attempt: 7, failures: { draw: 2 } });
      await fallBack(journal, work);
      await claim(journal, 'other');
      const later = await reopen();
      await recover(later, { generators: ['draw', 'other'] });
      expect(await claim(later, 'other')).toMatchObject({ attempt: 9, failures: { draw: 3 } });
    });

    it('tells the models of a generator apart', async () => {
      const { journal } = await open();
      await accept(journal);
      const first = await claim(journal);
      await journal.endAttempt({ workId: first.workId, attempt: 1, ...failed });
      await journal.beginAttempt({ workId: first.workId, attempt: 1, at: AT });
      const second = { ...first, attempt: 2 };
      await fallBack(journal, second, { generator: 'draw', spec: { ...first.spec, model: 'fast' } });
      const third = await claim(journal);
      expect(third.failures).toEqual({ draw: 2 });
      await fallBack(journal, third, { generator: 'other', spec: { ...first.spec, model: 'fast' } });
      expect((await claim(journal, 'other')).failures).toEqual({ draw: 2, 'draw/fast': 1 });
    });

    it('lets a render hear of a seed that counts for nothing only if it had one', async () => {
      const { journal } = await open();
      const seeded = await accept(journal, { cacheKey: KEY, request: { prompt: 'a delta', seed: 7 } });
      const work = await claim(journal);
      const joined = await accept(journal, { cacheKey: KEY, request: { prompt: 'a delta' } });
      await fallBack(journal, work, { ignored: ['style', 'seed'] });
      expect((await find(journal, seeded.id)).ignored).toEqual(['style', 'seed']);
      expect((await find(journal, joined.id)).ignored).toEqual(['style']);
    });

    it('hands on a provider’s job that goes on by itself, however often the process dies, and no other', async () => {
      const { journal, reopen } = await open();
      const { id } = await accept(journal);
      const first = await claim(journal);
      expect(first.remoteId).toBeUndefined();
      await journal.noteRemoteId({ ...first, remoteId: 'job-1' });
      await journal.release({ ...first, at: AT });
      expect((await claim(journal)).remoteId).toBe('job-1');
      // The generator did not get as far as taking it up.
      const later = await reopen();
      await recover(later);
      const third = await claim(later);
      expect(third.remoteId).toBe('job-1');
      await later.endAttempt({ ...third, ...failed });
      await later.beginAttempt({ ...third, at: AT });
      await later.release({ workId: third.workId, attempt: 4, at: AT });
      const fifth = await claim(later);
      expect(fifth.remoteId).toBeUndefined();
      await later.noteRemoteId({ ...fifth, remoteId: 'job-2' });
      await fallBack(later, fifth);
      expect((await claim(later, 'other')).remoteId).toBeUndefined();
      const ids = (await find(later, id)).attempts.map(({ remoteId }) => remoteId);
      expect(ids).toEqual(['job-1', 'job-1', 'job-1', undefined, 'job-2', undefined]);
    });
  });

  describe('fallBack', () => {
    it('hands work to another generator for those who allow it, and fails the others', async () => {
      const { journal } = await open();
      const all = [
        await accept(journal, { cacheKey: KEY, ignored: ['style', 'mask'] }),
        await accept(journal, { cacheKey: KEY, fallback: false }),
      ];
      const [willing, strict] = all;
      const work = await claim(journal);
      const to = { ignored: ['mask', 'loras'], cacheKey: OTHER_KEY };
      expect(await fallBack(journal, work, to, { at: AT + 7, ranMs: 6 })).toEqual({ passed: true });

      expect(await find(journal, willing?.id ?? '')).toMatchObject({
        ...{ status: 'queued', generator: 'other', fallbackFrom: 'draw', queuePosition: 1 },
        ignored: ['style', 'mask', 'loras'],
        attempts: [{ generator: 'draw', outcome: 'failed', error: FAILURE, endedAt: AT + 7 }],
      });
      const left = await find(journal, strict?.id ?? '');
      expect(left).toMatchObject({ status: 'failed', error: FAILURE, generator: 'draw' });
      expect(left.fallbackFrom).toBeUndefined();
      const ended = (await allEvents(journal)).filter(({ event }) => event.type === 'AttemptEnded');
      expect(ended).toMatchObject([
        { event: { generator: 'draw', outcome: 'failed', duration_ms: 6, fallback_to: 'other' } },
      ]);
      expect(await journal.queueStats({})).toMatchObject([{ generator: 'other', queued: 1, running: 0 }]);
      expect(await queuedWorks(journal)).toBe(1);
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();

      const next = await claim(journal, 'other');
      expect(next).toMatchObject({ workId: work.workId, attempt: 2, spec: { steps: 2 }, shared: true });
      expect(next.waiters.map(({ renderId }) => renderId)).toEqual([willing?.id]);
      await journal.finish({ ...next, result: drawn('a'), at: AT });
      const events = (await allEvents(journal)).map(({ event }) => event);
      expect(events.filter(({ type }) => type === 'RenderStarted').at(-1)).toMatchObject({ fallback_from: 'draw' });
      expect(events.at(-1)).toMatchObject({ type: 'ImageReady', generator: 'other', fallback_from: 'draw' });
      // Stored under the generator that made it.
      const ask = async (changes: object) => accepted(await acceptOne(journal, newRender(changes))).cache;
      expect(await ask({ cacheKey: KEY })).toBe('miss');
      expect(await ask({ cacheKey: OTHER_KEY, generator: 'other' })).toBe('hit');
    });

    it('remembers who was asked first, and all that was ignored, over two of them', async () => {
      const { journal } = await open();
      const { id } = await accept(journal, { priority: 2 });
      await fallBack(journal, await claim(journal), { ignored: ['mask'] });
      await fallBack(journal, await claim(journal, 'other'), { generator: 'third', ignored: ['style'] });
      const render = await find(journal, id);
      expect(render).toMatchObject({ generator: 'third', fallbackFrom: 'draw', ignored: ['mask', 'style'] });
      expect((await claim(journal, 'third')).failures).toEqual({ draw: 1, other: 1 });
      expect(await queuedWorks(journal)).toBe(0);
    });

    it('changes nothing when nobody allows it, or for another attempt', async () => {
      const { journal } = await open();
      const { id } = await accept(journal, { fallback: false });
      const work = await claim(journal);
      const before = await allEvents(journal);
      expect(await fallBack(journal, work)).toEqual({ passed: false });
      const { status, attempts } = await find(journal, id);
      expect([status, attempts.map(({ outcome }) => outcome)]).toEqual(['running', [undefined]]);
      const free = await accept(journal);
      const { workId, spec } = await claim(journal);
      expect(await fallBack(journal, { ...work, workId, spec, attempt: 2 })).toEqual({ passed: false });
      expect(await find(journal, free.id)).toMatchObject({ status: 'running', generator: 'draw' });
      expect((await allEvents(journal)).length).toBe(before.length + 2);
    });

    it('sinks to the priority of those who go on', async () => {
      const { journal } = await open();
      await accept(journal, { cacheKey: KEY });
      await accept(journal, { cacheKey: KEY, priority: 5, fallback: false });
      const filler = await accept(journal, { generator: 'other', priority: 1 });
      await fallBack(journal, await claim(journal));
      expect((await find(journal, filler.id)).queuePosition).toBe(1);
      expect((await claim(journal, 'other')).workId).toBe(filler.workId);
      expect(await queuedWorks(journal)).toBe(1);
    });

    it('lets the time of the render go on while it waits', async () => {
      const { journal } = await open();
      const { id } = await accept(journal, { timeoutMs: 1000 });
      const work = await claim(journal);
      await fallBack(journal, work, {}, { spent: [{ renderId: id, spentMs: 300 }], steadyAt: AT + 300 });
      const expire = (steadyAt: number) =>
        journal.expireQueued({ unstarted: FAILURE, started: TIMEOUT, at: AT, steadyAt });
      expect(await expire(AT + 999)).toEqual({ expired: 0, nextAt: AT + 1000 });
      const { waiters } = await claim(journal, 'other', AT + 500);
      expect(waiters).toMatchObject([{ renderId: id, timeoutMs: 1000, spentMs: 500 }]);
      // What runs is not this call's to end.
      expect(await expire(AT + 5000)).toEqual({ expired: 0, nextAt: undefined });
    });

    it('fails what waits for it for too long as something that has started', async () => {
      const { journal } = await open();
      const { id } = await accept(journal, { timeoutMs: 1000 });
      await fallBack(journal, await claim(journal), {}, { ranMs: 400, steadyAt: AT + 400 });
      const waiting = await accept(journal, { queueUntil: AT + 1000 });
      const late = { unstarted: FAILURE, started: TIMEOUT, at: AT + 1000, steadyAt: AT + 1000 };
      expect(await journal.expireQueued(late)).toEqual({ expired: 2, nextAt: undefined });
      expect(await find(journal, id)).toMatchObject({ status: 'failed', error: TIMEOUT });
      expect(await find(journal, waiting.id)).toMatchObject({ status: 'failed', error: FAILURE });
      expect(await queuedWorks(journal)).toBe(0);
    });

    it('is joined by what is equal for the other generator', async () => {
      const { journal } = await open();
      const { workId } = await accept(journal, { cacheKey: KEY });
      await fallBack(journal, await claim(journal), { cacheKey: OTHER_KEY });
      const equal = newRender({ generator: 'other', cacheKey: OTHER_KEY, timeoutMs: 5 });
      expect(accepted(await acceptOne(journal, equal))).toMatchObject({ cache: 'joined', render: { workId } });
      const { waiters } = await claim(journal, 'other', AT + 100);
      // Its own time begins now.
      expect(waiters).toMatchObject([{ spentMs: 100 }, { renderId: equal.id, spentMs: 0 }]);
    });
  });

  describe('finish with what stands in', () => {
    it('gives stored images to those who allow it, fails the others, and answers nobody else with them', async () => {
      const { journal } = await open();
      const first = await accept(journal);
      await journal.finish({ ...(await claim(journal)), result: drawn('a'), at: AT });
      const willing = await accept(journal, { cacheKey: KEY, request: { prompt: 'a dune' } });
      const strict = await accept(journal, { cacheKey: KEY, fallback: false });
      const work = await claim(journal);
      const result = { kind: 'substituted', by: 'nearest', images: [imageOf('a')], error: FAILURE } as const;
      const { settled } = await journal.finish({ ...work, result, at: AT + 9 });
      expect(settled).toEqual([willing.id, strict.id]);
      expect(await find(journal, willing.id)).toMatchObject({
        ...{ status: 'succeeded', generator: 'nearest', fallbackFrom: 'draw', cached: false, images: [imageOf('a')] },
        attempts: [{ generator: 'draw', outcome: 'failed', error: FAILURE }],
      });
      expect(await find(journal, strict.id)).toMatchObject({ status: 'failed', error: FAILURE, generator: 'draw' });
      const events = (await allEvents(journal)).map(({ event }) => event);
      expect(events.slice(-3)).toMatchObject([
        { type: 'AttemptEnded', outcome: 'failed', fallback_to: 'nearest' },
        { type: 'ImageReady', render_id: willing.id, generator: 'nearest', fallback_from: 'draw', cached: false },
        { type: 'RenderFailed', render_id: strict.id, generator: 'draw' },
      ]);
      expect(await journal.findShared({ cacheKey: KEY })).toEqual([]);
      expect(accepted(await acceptOne(journal, newRender({ cacheKey: KEY }))).cache).toBe('miss');
      // It is still the image of the one that it was made for.
      const nearest = await journal.findNearest({ prompt: 'a dune', limit: 5 });
      expect(nearest).toEqual((await find(journal, first.id)).images);
    });
  });

  describe('the queue', () => {
    it('counts right when work changes its priority while it waits, and while it runs', async () => {
      const { journal, reopen } = await open();
      const join = async (priority: number) => accept(journal, { cacheKey: KEY, priority });
      await join(0);
      const urgent = await join(3);
      expect(await queuedWorks(journal)).toBe(1);
      const work = await claim(journal);
      const running = await join(7);
      await journal.settle({ renderId: urgent.id, status: 'cancelled', error: CANCELLED, at: AT });
      await journal.release({ ...work, at: AT });
      const filler = await accept(journal, { priority: 6 });
      expect(filler.queuePosition).toBe(2);
      await journal.settle({ renderId: running.id, status: 'cancelled', error: CANCELLED, at: AT });
      const later = await reopen();
      expect((await find(later, filler.id)).queuePosition).toBe(1);
      expect(await queuedWorks(later)).toBe(2);
      expect((await claim(later)).workId).toBe(filler.workId);
      expect((await claim(later)).workId).toBe(work.workId);
      expect(await queuedWorks(later)).toBe(0);
    });
  });

  describe('recover', () => {
    it('lets nothing wait longer than it may because the clock was set back', async () => {
      const { journal, reopen } = await open();
      const now = AT - 1_000_000;
      const waiting = await accept(journal, { queueTimeoutMs: 500, queueUntil: AT + 500 });
      const begun = await accept(journal, { priority: 1, timeoutMs: 1000 });
      await fallBack(journal, await claim(journal), {}, { ranMs: 300 });
      const later = await reopen();
      const restart = { generators: ['draw', 'other'], at: now, steadyAt: now };
      await recover(later, restart);
      const expire = (steadyAt: number) =>
        later.expireQueued({ unstarted: FAILURE, started: TIMEOUT, at: now, steadyAt });
      expect(await expire(now + 499)).toEqual({ expired: 0, nextAt: now + 500 });
      expect(await expire(now + 500)).toEqual({ expired: 1, nextAt: now + 700 });
      expect((await find(later, waiting.id)).error).toEqual(FAILURE);
      expect(await expire(now + 700)).toEqual({ expired: 1, nextAt: undefined });
      expect((await find(later, begun.id)).error).toEqual(TIMEOUT);
      expect(await eventTypesOf(later, begun.id)).toContain('RenderFailed');
    });

    it('lets what is due earlier stay so', async () => {
      const { journal, reopen } = await open();
      await accept(journal, { queueTimeoutMs: 500, queueUntil: AT + 500 });
      const later = await reopen();
      await recover(later, { at: AT + 400, steadyAt: AT + 400 });
      const late = { unstarted: FAILURE, started: TIMEOUT, at: AT, steadyAt: AT + 400 };
      expect(await later.expireQueued(late)).toEqual({ expired: 0, nextAt: AT + 500 });
    });
  });
}
