import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  allEvents,
  CANCELLED,
  claim,
  eventTypesOf,
  find,
  recover,
  succeeded,
} from '../journal-fixtures.ts';

/** What a start makes of what ran when the process died. */
export function recoveryOfJournal(open: OpenJournal): void {
  describe('recover', () => {
    it('does nothing where nothing ran', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      expect(await recover(journal, { at: AT })).toEqual({
        requeued: 0,
        failed: 0,
      });
      expect(await eventTypesOf(journal, id)).toEqual(['RenderQueued']);
    });

    it('puts what ran back in its old order, before what waited behind it', async () => {
      const { journal, reopen } = await open();
      const renders = [];
      for (let number = 0; number < 5; number += 1) renders.push(await accept(journal));
      for (let number = 0; number < 3; number += 1) await claim(journal);
      const later = await reopen();
      expect(await recover(later, { at: AT + 8 })).toEqual({
        requeued: 3,
        failed: 0,
      });
      for (const [index, { id }] of renders.entries()) {
        expect(await find(later, id)).toMatchObject({ status: 'queued', queuePosition: index + 1 });
      }
      for (const { workId } of renders) expect((await claim(later)).workId).toBe(workId);
    });

    it('notes the attempt as crashed, ends no render, and takes no result of it any more', async () => {
      const { journal, reopen } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      const later = await reopen();
      await recover(later, { at: AT + 8 });
      expect((await find(later, id)).attempts).toMatchObject([{ outcome: 'crashed', endedAt: AT + 8 }]);
      expect(await later.lastEvents({ renderId: id })).toEqual([]);
      expect(await later.finish({ workId, attempt, result: succeeded(), at: AT })).toEqual({ settled: [] });
      const again = await claim(later);
      expect(again).toMatchObject({ workId, attempt: 2 });
      expect(await later.finish({ workId, attempt, result: succeeded(), at: AT })).toEqual({ settled: [] });
      expect(await later.finish({ ...again, result: succeeded(), at: AT })).toEqual({ settled: [id] });
    });

    it('lets the time of a render count anew after a crash, and go on after it was handed back', async () => {
      const { journal, reopen } = await open();
      await accept(journal, { createdAt: AT });
      const first = await claim(journal, 'draw', AT + 10);
      expect(first.waiters).toMatchObject([{ spentMs: 0 }]);
      await journal.release({ workId: first.workId, attempt: first.attempt, at: AT + 20 });
      // What passes while nobody works on it, as when the server is off, does not count.
      const second = await claim(journal, 'draw', AT + 5000);
      expect(second.waiters).toMatchObject([{ spentMs: 10 }]);
      await journal.release({ workId: second.workId, attempt: second.attempt, at: AT + 5007 });
      expect((await claim(journal, 'draw', AT + 6000)).waiters).toMatchObject([{ spentMs: 17 }]);
      const later = await reopen();
      await recover(later, { at: AT + 6040 });
      expect((await claim(later, 'draw', AT + 6050)).waiters).toMatchObject([{ spentMs: 0 }]);
    });

    it('fails what waits for a generator that is gone', async () => {
      const { journal, reopen } = await open();
      const gone = await accept(journal, { generator: 'gone' });
      const kept = await accept(journal);
      const later = await reopen();
      const recovered = await recover(later, { at: AT + 8 });
      expect(recovered).toEqual({ requeued: 0, failed: 1 });
      expect(await find(later, gone.id)).toMatchObject({ status: 'failed', error: { code: 'generator_unavailable' } });
      expect(await find(later, kept.id)).toMatchObject({ status: 'queued', queuePosition: 1 });
      expect((await later.queueStats({})).map(({ generator }) => generator)).toEqual(['draw']);
    });

    it('fails a render whose starts died too often', async () => {
      const opened = await open();
      const { id } = await accept(opened.journal);
      let journal: Journal = opened.journal;
      for (let crash = 1; crash < 3; crash += 1) {
        await claim(journal);
        journal = await opened.reopen();
        expect(await recover(journal, { crashAttempts: 3, at: AT })).toEqual({
          requeued: 1,
          failed: 0,
        });
      }
      await claim(journal);
      journal = await opened.reopen();
      expect(await recover(journal, { crashAttempts: 3, at: AT + 9 })).toEqual({
        requeued: 0,
        failed: 1,
      });
      expect(await find(journal, id)).toMatchObject({
        status: 'failed',
        error: { code: 'crashed', retryable: true },
        finishedAt: AT + 9,
        attempts: [{ outcome: 'crashed' }, { outcome: 'crashed' }, { outcome: 'crashed' }],
      });
      expect(await journal.lastEvents({ renderId: id })).toMatchObject([
        { event: { type: 'RenderFailed', code: 'crashed' } },
      ]);
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
      expect(await recover(journal, { crashAttempts: 3, at: AT })).toEqual({
        requeued: 0,
        failed: 0,
      });
    });

    it('goes on with a provider’s job much more often, but not for ever either', async () => {
      const opened = await open();
      const { id } = await accept(opened.journal);
      let journal: Journal = opened.journal;
      const crash = async (remoteId?: string) => {
        const { workId, attempt } = await claim(journal);
        if (remoteId !== undefined) await journal.noteRemoteId({ workId, attempt, remoteId });
        journal = await opened.reopen();
        return await recover(journal, { crashAttempts: 2 });
      };
      // Before there was a job it was work like any other.
      expect(await crash()).toEqual({ requeued: 1, failed: 0 });
      expect(await crash('job')).toEqual({ requeued: 1, failed: 0 });
      // From then on every attempt begins with the job, whether it came to it or not.
      for (let more = 2; more < 19; more += 1) expect(await crash()).toEqual({ requeued: 1, failed: 0 });
      expect(await crash()).toEqual({ requeued: 0, failed: 1 });
      const { error, attempts } = await find(journal, id);
      expect(error).toMatchObject({ code: 'crashed', message: expect.stringContaining('20 times') });
      expect(attempts.slice(1).map(({ remoteId }) => remoteId)).toEqual(Array(19).fill('job'));
    });

    it('counts the cost of a provider’s job once, whichever attempt tells it', async () => {
      const opened = await open();
      const { id } = await accept(opened.journal);
      const first = await claim(opened.journal);
      const tell = { workId: first.workId, costUsd: 0.5, at: AT };
      await opened.journal.noteRemoteId({ ...first, remoteId: 'job' });
      await opened.journal.noteCost({ ...tell, attempt: 1 });
      const journal = await opened.reopen();
      await recover(journal);
      const { attempt } = await claim(journal);
      await journal.noteCost({ ...tell, attempt });
      await journal.finish({ workId: first.workId, attempt, result: succeeded(), at: AT });
      // A bill that comes late is the same bill.
      await journal.noteCost({ ...tell, attempt });
      expect((await find(journal, id)).attempts.map(({ costUsd }) => costUsd)).toEqual([0.5, undefined]);
      expect(await journal.spentSince({ generator: 'draw', since: 0 })).toMatchObject({ usd: 0.5 });
      const told = (await allEvents(journal)).flatMap(({ event }) => ('cost_usd' in event ? [event.cost_usd] : []));
      expect(told).toEqual([0.5]);
    });

    it('counts crashes, not the times that work was handed back', async () => {
      const opened = await open();
      const { id } = await accept(opened.journal);
      let journal: Journal = opened.journal;
      for (let stop = 0; stop < 3; stop += 1) {
        await journal.release({ ...(await claim(journal)), at: AT });
        journal = await opened.reopen();
        expect(await recover(journal, { at: AT })).toEqual({
          requeued: 0,
          failed: 0,
        });
      }
      await claim(journal);
      journal = await opened.reopen();
      expect(await recover(journal, { at: AT })).toEqual({
        requeued: 1,
        failed: 0,
      });
      expect((await find(journal, id)).attempts.map(({ outcome }) => outcome)).toEqual([
        'released',
        'released',
        'released',
        'crashed',
      ]);
    });

    it('ends the attempts of work that was given up while it ran', async () => {
      const { journal, reopen } = await open();
      const { id } = await accept(journal);
      await claim(journal);
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      const later = await reopen();
      expect(await recover(later, { at: AT + 8 })).toEqual({
        requeued: 0,
        failed: 0,
      });
      expect(await find(later, id)).toMatchObject({
        status: 'cancelled',
        finishedAt: AT,
        attempts: [{ outcome: 'crashed', endedAt: AT + 8 }],
      });
      expect(await later.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
    });
  });
}
