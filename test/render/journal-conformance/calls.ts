import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { Accepted, NewRender } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import { AT, accept, allEvents, CANCELLED, eventTypesOf, find, newRender, queuedWorks } from '../journal-fixtures.ts';

const DAY_MS = 86_400_000;

function taken(outcome: Accepted): Extract<Accepted, { kind: 'taken' }> {
  if (outcome.kind !== 'taken') throw new Error(`the call was not taken but ${outcome.kind}`);
  return outcome;
}

/** Hands in one render under an idempotency key. */
function call(journal: Journal, key: string, bodyHash: string, render: NewRender = newRender()) {
  return journal.accept({ renders: [render], idempotency: { key, bodyHash }, maxQueued: 10 });
}

/** How several renders come in at once, and calls that have a name. */
export function callsOfJournal(open: OpenJournal): void {
  describe('several renders at once', () => {
    it('are taken in their order, with what each of them is', async () => {
      const { journal } = await open();
      const old = await accept(journal, { requestId: 'old' });
      const renders = [
        newRender({ batchId: 'b', priority: 1 }),
        newRender({ batchId: 'b', requestId: 'old' }),
        newRender({ batchId: 'b' }),
      ];
      const outcome = taken(await journal.accept({ renders, maxQueued: 10 }));
      expect(outcome.renders).toMatchObject([
        { kind: 'accepted', cache: 'bypass', render: { id: renders[0]?.id, batchId: 'b', queuePosition: 1 } },
        { kind: 'known', render: { id: old.id } },
        { kind: 'accepted', render: { id: renders[2]?.id, batchId: 'b', queuePosition: 3 } },
      ]);
      expect(outcome.renders[1]?.render.batchId).toBeUndefined();
      expect(await queuedWorks(journal)).toBe(3);
    });

    it('are all refused when one has the id of another request, and its place is told', async () => {
      const { journal } = await open();
      const mine = await accept(journal, { requestId: 'old' });
      const before = await allEvents(journal);
      const renders = [
        newRender({ clearQueue: true }),
        newRender(),
        newRender({ requestId: 'old', bodyHash: 'other' }),
      ];
      const outcome = await journal.accept({ renders, maxQueued: 10 });
      expect(outcome).toEqual({ kind: 'conflict', on: 'request_id', index: 2 });
      expect(await allEvents(journal)).toEqual(before);
      expect((await find(journal, mine.id)).status).toBe('queued');
      for (const { id } of renders) expect(await journal.findRender({ id, owner: 'ann' })).toBeUndefined();
    });

    it('are all refused when there is no room for all', async () => {
      const { journal } = await open();
      await accept(journal);
      const renders = [newRender(), newRender()];
      expect(await journal.accept({ renders, maxQueued: 2 })).toEqual({ kind: 'full', queued: 1 });
      expect(await allEvents(journal)).toHaveLength(1);
      expect(taken(await journal.accept({ renders, maxQueued: 3 })).renders).toHaveLength(2);
    });

    it('join one another when they are equal, and clear nothing of one another', async () => {
      const { journal } = await open();
      const older = await accept(journal);
      const renders = [
        newRender({ cacheKey: 'ab', clearQueue: true }),
        newRender({ cacheKey: 'ab', clearQueue: true }),
        newRender({ clearQueue: true }),
      ];
      const outcome = taken(await journal.accept({ renders, maxQueued: 10 }));
      expect(outcome).toMatchObject({
        stoppedWork: [older.workId],
        renders: [{ cache: 'miss' }, { cache: 'joined', render: { workId: renders[0]?.workId } }, { cache: 'bypass' }],
      });
      expect(await eventTypesOf(journal, older.id)).toEqual(['RenderQueued', 'RenderCancelled']);
      for (const { id } of renders) expect((await find(journal, id)).status).toBe('queued');
      expect(await queuedWorks(journal)).toBe(2);
    });
  });

  describe('an idempotency key', () => {
    it('stands for what its first call made, however that is by now, also across a restart', async () => {
      const { journal, reopen } = await open();
      const idempotency = { key: 'k', bodyHash: 'x' };
      const renders = [newRender(), newRender()];
      taken(await journal.accept({ renders, idempotency, maxQueued: 10 }));
      for (const { id } of renders)
        await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      const later = await reopen();
      const before = await allEvents(later);
      const again = taken(await later.accept({ renders: [newRender(), newRender()], idempotency, maxQueued: 0 }));
      expect(again).toMatchObject({
        stoppedWork: [],
        renders: renders.map(({ id }) => ({ kind: 'known', render: { id, status: 'cancelled' } })),
      });
      expect(await allEvents(later)).toEqual(before);
      expect(await later.findCall({ owner: 'ann', key: 'k', at: AT })).toMatchObject({
        bodyHash: 'x',
        renders: renders.map(({ id }) => ({ id })),
      });
    });

    it('is refused for another body, and belongs to its owner', async () => {
      const { journal } = await open();
      await call(journal, 'k', 'x');
      const other = newRender({ clearQueue: true });
      expect(await call(journal, 'k', 'y', other)).toEqual({ kind: 'conflict', on: 'idempotency_key', index: 0 });
      expect(await queuedWorks(journal)).toBe(1);
      expect(taken(await call(journal, 'k', 'y', newRender({ owner: 'bob' }))).renders[0]?.kind).toBe('accepted');
      expect(await journal.findCall({ owner: 'cem', key: 'k', at: AT })).toBeUndefined();
    });

    it('counts for 24 hours, and then for what uses it next', async () => {
      const { journal } = await open();
      await call(journal, 'k', 'x');
      const at = AT + DAY_MS;
      expect(await call(journal, 'k', 'y', newRender({ createdAt: at - 1 }))).toMatchObject({ kind: 'conflict' });
      expect(await journal.findCall({ owner: 'ann', key: 'k', at: at - 1 })).toBeDefined();
      expect(await journal.findCall({ owner: 'ann', key: 'k', at })).toBeUndefined();
      const next = newRender({ createdAt: at });
      expect(taken(await call(journal, 'k', 'y', next)).renders[0]?.kind).toBe('accepted');
      expect(await call(journal, 'k', 'x', newRender({ createdAt: at }))).toMatchObject({ kind: 'conflict' });
      await journal.forget({ endedBefore: 0, at: at + 1 });
      expect((await journal.findCall({ owner: 'ann', key: 'k', at: at + 1 }))?.renders).toMatchObject([
        { id: next.id },
      ]);
    });

    it('makes one render of 100 calls at once', async () => {
      const { journal } = await open();
      const outcomes = await Promise.all(Array.from({ length: 100 }, () => call(journal, 'k', 'x')));
      const renders = outcomes.flatMap((outcome) => taken(outcome).renders);
      expect(renders.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
      expect(new Set(renders.map(({ render }) => render.id)).size).toBe(1);
      expect(await allEvents(journal)).toHaveLength(1);
    });

    it('is not used up by a call that is refused', async () => {
      const { journal } = await open();
      await accept(journal, { requestId: 'old' });
      const refused = newRender({ requestId: 'old', bodyHash: 'other' });
      expect(await call(journal, 'k', 'x', refused)).toMatchObject({ kind: 'conflict', on: 'request_id' });
      expect(await journal.findCall({ owner: 'ann', key: 'k', at: AT })).toBeUndefined();
      expect(taken(await call(journal, 'k', 'y')).renders[0]?.kind).toBe('accepted');
    });

    it('is free again when what it made is forgotten', async () => {
      const { journal } = await open();
      const { id } = newRender();
      await call(journal, 'k', 'x', newRender({ id, requestId: id }));
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      await journal.noteTime({ at: AT });
      await journal.forget({ endedBefore: AT + 1, at: AT });
      expect(await journal.findCall({ owner: 'ann', key: 'k', at: AT })).toBeUndefined();
      const next = newRender();
      expect(taken(await call(journal, 'k', 'x', next)).renders).toMatchObject([
        { kind: 'accepted', render: { id: next.id } },
      ]);
    });
  });
}
