import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  acceptOne,
  allEvents,
  CANCELLED,
  claim,
  expectCode,
  newRender,
  succeeded,
} from '../journal-fixtures.ts';

/** The ordered log that everything outside is read from. */
export function eventsOfJournal(open: OpenJournal): void {
  describe('events', () => {
    it('have numbers without gaps, also across a restart', async () => {
      const { journal, reopen } = await open();
      expect(journal.lastSeq).toBe(0);
      await Promise.all(Array.from({ length: 20 }, () => accept(journal)));
      expect(journal.lastSeq).toBe(20);
      const later = await reopen();
      expect(later.lastSeq).toBe(20);
      await Promise.all(Array.from({ length: 20 }, () => accept(later)));
      const seqs = (await allEvents(later)).map(({ event }) => event.seq);
      expect(seqs).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    });

    it('keep their numbers to themselves: a call that was refused takes none', async () => {
      const { journal } = await open();
      await accept(journal);
      await acceptOne(journal, newRender(), 1);
      await accept(journal);
      expect((await allEvents(journal)).map(({ event }) => event.seq)).toEqual([1, 2]);
    });

    it('are heard once, in order, and before the call that made them resolves', async () => {
      const { journal, reopen } = await open();
      const heard: LoggedEvent[] = [];
      journal.onEvents((events) => heard.push(...events));
      const also: LoggedEvent[] = [];
      journal.onEvents((events) => also.push(...events));
      await Promise.all(
        Array.from({ length: 25 }, async () => {
          const { id } = await accept(journal);
          expect(heard.filter(({ event }) => 'render_id' in event && event.render_id === id).length).toBe(1);
          const work = await claim(journal);
          await journal.finish({ ...work, result: succeeded(2), at: AT });
          const [waiter] = work.waiters;
          const own = heard.filter(({ event }) => 'render_id' in event && event.render_id === waiter?.renderId);
          expect(own.length).toBe(5);
        }),
      );
      await journal.note({ event: { type: 'ServerDraining', grace_ms: 5 }, at: AT + 1 });
      expect(heard.at(-1)?.event).toMatchObject({ type: 'ServerDraining', time: '2026-11-22T06:00:00.001Z' });
      expect(heard.length).toBe(25 * 5 + 1);
      expect(heard.map(({ event }) => event.seq)).toEqual(heard.map((_, index) => index + 1));
      expect(also).toEqual(heard);
      expect(journal.lastSeq).toBe(heard.length);
      expect(await allEvents(journal)).toEqual(heard);
      expect(await allEvents(await reopen())).toEqual(heard);
    });

    it('are read from any number on, as many as wanted', async () => {
      const { journal } = await open();
      await Promise.all(Array.from({ length: 10 }, () => accept(journal)));
      const some = await journal.eventsAfter({ since: 4, limit: 3 });
      expect(some.map(({ event }) => event.seq)).toEqual([5, 6, 7]);
      expect(await journal.eventsAfter({ since: 10, limit: 3 })).toEqual([]);
    });

    it('say whose they are and through which door', async () => {
      const { journal } = await open();
      await accept(journal, { owner: 'bob', door: 'bus' });
      expect(await allEvents(journal)).toMatchObject([{ owner: 'bob', door: 'bus' }]);
    });

    it('that ended a render are found again', async () => {
      const { journal } = await open();
      const [one, two, three] = [await accept(journal), await accept(journal), await accept(journal)];
      const { workId, attempt } = await claim(journal);
      await journal.finish({ workId, attempt, result: succeeded(2), at: AT });
      await journal.settle({ renderId: two.id, status: 'cancelled', error: CANCELLED, at: AT });
      expect(await journal.lastEvents({ renderId: one.id })).toMatchObject([
        { event: { type: 'ImageReady', index: 0, of: 2 } },
        { event: { type: 'ImageReady', index: 1, of: 2 } },
      ]);
      expect(await journal.lastEvents({ renderId: two.id })).toMatchObject([
        { owner: 'ann', door: 'rest', event: { type: 'RenderCancelled', code: 'cancelled', message: 'not wanted' } },
      ]);
      expect(await journal.lastEvents({ renderId: three.id })).toEqual([]);
    });
  });

  describe('a journal', () => {
    it('keeps its name across a restart, and shares it with no other', async () => {
      const [first, other] = [await open(), await open()];
      expect(first.journal.logId).not.toBe(other.journal.logId);
      expect((await first.reopen()).logId).toBe(first.journal.logId);
    });

    it('says whether it can write', async () => {
      const { journal } = await open();
      await journal.probe({ at: AT });
      await journal.probe({ at: AT + 1 });
      expect(await allEvents(journal)).toEqual([]);
    });

    it('ends after everything that was called before, and refuses what comes later', async () => {
      const { journal, reopen } = await open();
      const calls = Array.from({ length: 600 }, () => accept(journal));
      const closed = journal.close();
      await expectCode(journal.findRender({ id: 'x', owner: 'ann' }), 'draining');
      expect((await Promise.all(calls)).length).toBe(600);
      await closed;
      await expectCode(journal.probe({ at: AT }), 'draining');
      await journal.close();
      expect((await reopen()).lastSeq).toBe(600);
    });
  });
}
