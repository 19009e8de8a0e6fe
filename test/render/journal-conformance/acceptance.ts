import { describe, expect, it } from 'vitest';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  accepted,
  acceptOne,
  allEvents,
  CANCELLED,
  claim,
  eventTypesOf,
  find,
  newRender,
  succeeded,
} from '../journal-fixtures.ts';

const ODD_STRINGS = {
  NUL: 'before\0after',
  emoji: '\u{1f30b} \u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'a lone surrogate': 'high \ud800 low \udc00 end',
  '10 000 characters': 'é'.repeat(10_000),
  quotes: `'; DROP TABLE renders; -- "$id" \\ \n\t`,
};

/** How renders come in, and are found again. */
export function acceptanceOfJournal(open: OpenJournal): void {
  describe('accept', () => {
    it('keeps everything of a render', async () => {
      const { journal, reopen } = await open();
      const render = newRender({
        requestId: 'visit-1',
        door: 'bus',
        bodyHash: 'hash',
        request: { prompt: 'a delta', era: 'modern', num_images: 2, depth_map: { image_id: 'a'.repeat(64) } },
        ignored: ['style', 'mask'],
        priority: 3,
        timeoutMs: 4321,
        createdAt: AT + 5,
        spec: {
          depthMap: 'a'.repeat(64),
          numImages: 2,
          loras: [{ path: 'ink', scale: 0.5 }],
          steps: 4,
          strength: 0.25,
        },
      });
      const outcome = await acceptOne(journal, render, 10);

      const { clearQueue: _, inputs: _i, useCache: _u, queueUntil: _q, steadyAt: _s, spec, ...kept } = render;
      const expected = { ...kept, status: 'queued', attempts: [], images: [], queuePosition: 1 };
      expect(accepted(outcome).render).toMatchObject(expected);
      expect(accepted(outcome).stoppedWork).toEqual([]);
      const later = await reopen();
      expect(await find(later, render.id)).toEqual(accepted(outcome).render);
      expect(await claim(later)).toEqual({
        workId: render.workId,
        attempt: 1,
        generator: 'draw',
        spec,
        shared: false,
        more: false,
        failures: {},
        waiters: [{ renderId: render.id, requestId: 'visit-1', timeoutMs: 4321, spentMs: 0, fallback: true }],
      });
    });

    it('knows the same id with the same body, and refuses it with another one', async () => {
      const { journal } = await open();
      const first = await accept(journal, { requestId: 'one', bodyHash: 'x' });
      const again = await acceptOne(journal, newRender({ requestId: 'one', bodyHash: 'x' }), 10);
      expect(again).toEqual({ kind: 'known', render: first, stoppedWork: [] });
      const other = await acceptOne(journal, newRender({ requestId: 'one', bodyHash: 'y' }), 10);
      expect(other).toEqual({ kind: 'conflict', on: 'request_id', index: 0 });
      expect((await allEvents(journal)).length).toBe(1);
      expect(await journal.queueStats({})).toMatchObject([{ queued: 1, running: 0 }]);
    });

    it('knows an id also when the queue is full, when its render is over, and after a restart', async () => {
      const { journal, reopen } = await open();
      const first = await accept(journal, { requestId: 'one' });
      const full = await acceptOne(journal, newRender({ requestId: 'one' }), 1);
      expect(full.kind).toBe('known');
      await journal.settle({ renderId: first.id, status: 'cancelled', error: CANCELLED, at: AT });
      const later = await reopen();
      const again = await acceptOne(later, newRender({ requestId: 'one' }), 10);
      expect(again).toMatchObject({ kind: 'known', render: { id: first.id, status: 'cancelled', error: CANCELLED } });
    });

    it('makes one render and one event of 100 duplicates at once', async () => {
      const { journal } = await open();
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, () => acceptOne(journal, newRender({ requestId: 'one' }), 1000)),
      );
      expect(outcomes.filter(({ kind }) => kind === 'accepted').length).toBe(1);
      expect(outcomes.filter(({ kind }) => kind === 'known').length).toBe(99);
      const ids = outcomes.map((outcome) => ('render' in outcome ? outcome.render.id : undefined));
      expect(new Set(ids).size).toBe(1);
      expect((await allEvents(journal)).map(({ event }) => event.type)).toEqual(['RenderQueued']);
      expect(await journal.queueStats({})).toMatchObject([{ queued: 1 }]);
    });

    it('has an id once per owner, whatever the door', async () => {
      const { journal } = await open();
      const ann = await accept(journal, { requestId: 'one', owner: 'ann' });
      const bob = await accept(journal, { requestId: 'one', owner: 'bob', bodyHash: 'other' });
      expect(bob.id).not.toBe(ann.id);
      const byBus = newRender({ requestId: 'one', owner: 'ann', door: 'bus' });
      expect(await acceptOne(journal, byBus, 10)).toMatchObject({
        kind: 'known',
        render: { id: ann.id },
      });
    });

    it('refuses more than may wait and changes nothing then', async () => {
      const { journal } = await open();
      await accept(journal);
      await accept(journal);
      const before = await allEvents(journal);
      const refused = newRender();
      expect(await acceptOne(journal, refused, 2)).toEqual({ kind: 'full', queued: 2 });
      expect(await journal.findRender({ id: refused.id, owner: 'ann' })).toBeUndefined();
      expect(await allEvents(journal)).toEqual(before);
      await claim(journal);
      expect(await acceptOne(journal, refused, 2)).toMatchObject({ kind: 'accepted' });
    });

    it('cancels nothing for a clear_queue that does not fit in the queue', async () => {
      const { journal } = await open();
      const mine = await accept(journal);
      await accept(journal, { owner: 'bob' });
      await accept(journal, { owner: 'bob' });
      const newer = newRender({ clearQueue: true });
      expect(await acceptOne(journal, newer, 2)).toEqual({ kind: 'full', queued: 2 });
      expect((await find(journal, mine.id)).status).toBe('queued');
      expect((await allEvents(journal)).length).toBe(3);
      // What it takes the place of does not count.
      expect(await acceptOne(journal, newer, 3)).toMatchObject({ kind: 'accepted' });
    });

    it('cancels nothing for a clear_queue whose id is known or belongs to another body', async () => {
      const { journal } = await open();
      const first = await accept(journal, { requestId: 'one' });
      const second = await accept(journal);
      for (const bodyHash of ['body', 'other']) {
        const newer = newRender({ requestId: 'one', clearQueue: true, bodyHash });
        await acceptOne(journal, newer, 10);
      }
      for (const { id } of [first, second]) expect((await find(journal, id)).status).toBe('queued');
    });

    it('clears what is queued or running of the same owner, door and generator, and nothing else', async () => {
      const { journal } = await open();
      const running = await accept(journal);
      await claim(journal);
      const queued = await accept(journal);
      const over = await accept(journal, { generator: 'other' });
      const others = [
        await accept(journal, { owner: 'bob' }),
        await accept(journal, { door: 'bus' }),
        await accept(journal, { generator: 'other' }),
      ];
      const { workId, attempt } = await claim(journal, 'other');
      await journal.finish({ workId, attempt, result: succeeded(), at: AT });

      const outcome = await acceptOne(journal, newRender({ clearQueue: true }), 10);
      expect(accepted(outcome).stoppedWork).toEqual([running.workId, queued.workId]);
      for (const { id } of [running, queued]) {
        expect(await find(journal, id)).toMatchObject({ status: 'cancelled', error: { code: 'superseded' } });
        expect((await eventTypesOf(journal, id)).at(-1)).toBe('RenderCancelled');
      }
      for (const { id } of others) expect((await find(journal, id)).status).toBe('queued');
      expect((await find(journal, over.id)).status).toBe('succeeded');
      const types = (await allEvents(journal)).map(({ event }) => event.type);
      expect(types.slice(-3)).toEqual(['RenderCancelled', 'RenderCancelled', 'RenderQueued']);
    });

    for (const [what, text] of Object.entries(ODD_STRINGS)) {
      it(`gives text with ${what} back as it came`, async () => {
        const { journal, reopen } = await open();
        // The doors let only well-formed text in, but the bus takes any id.
        const shown = text.isWellFormed() ? text : 'plain';
        const render = newRender({
          requestId: `id ${text}`,
          request: { prompt: shown, metadata: { key: shown.slice(0, 1000) } },
          spec: { prompt: text, negativePrompt: text, loras: [{ path: text, scale: 1 }] },
        });
        const { render: kept } = accepted(await acceptOne(journal, render, 10));
        expect(kept.requestId).toBe(render.requestId);
        expect(kept.request).toEqual(render.request);
        expect((await acceptOne(journal, { ...render, id: 'x' }, 10)).kind).toBe('known');

        const { workId, attempt, spec, waiters } = await claim(journal);
        expect(spec).toEqual(render.spec);
        expect(waiters).toMatchObject([{ requestId: render.requestId }]);
        const result = { kind: 'failed', error: { code: 'internal', message: text, retryable: false } } as const;
        await journal.finish({ workId, attempt, result, at: AT });

        const later = await reopen();
        expect(await find(later, render.requestId)).toMatchObject({ error: result.error, request: render.request });
        for (const { event } of await allEvents(later)) expect(event).toMatchObject({ request_id: render.requestId });
        expect(await later.lastEvents({ renderId: render.id })).toMatchObject([{ event: { message: text } }]);
      });
    }

    it('tells ids apart that differ in a lone surrogate only', async () => {
      const { journal } = await open();
      const one = await accept(journal, { requestId: '\ud800' });
      const two = await accept(journal, { requestId: '\ud801' });
      expect((await find(journal, '\ud800')).id).toBe(one.id);
      expect((await find(journal, '\ud801')).id).toBe(two.id);
    });
  });

  describe('findRender', () => {
    it('finds by id, whoever asks, and nothing where nothing is', async () => {
      const { journal } = await open();
      const render = await accept(journal, { requestId: 'one' });
      expect((await find(journal, render.id, 'bob')).id).toBe(render.id);
      expect((await find(journal, 'one', 'bob')).id).toBe(render.id);
      expect(await journal.findRender({ id: 'two', owner: 'ann' })).toBeUndefined();
    });

    it('prefers the render of the owner who asks, then the newest', async () => {
      const { journal } = await open();
      const ann = await accept(journal, { requestId: 'one', owner: 'ann' });
      await accept(journal, { requestId: 'one', owner: 'bob' });
      const cem = await accept(journal, { requestId: 'one', owner: 'cem' });
      expect((await find(journal, 'one', 'ann')).id).toBe(ann.id);
      expect((await find(journal, 'one', 'dora')).id).toBe(cem.id);
    });

    it('takes an id before a request_id that looks like it', async () => {
      const { journal } = await open();
      const render = await accept(journal, { owner: 'bob' });
      await accept(journal, { owner: 'ann', requestId: render.id });
      expect((await find(journal, render.id, 'ann')).owner).toBe('bob');
    });
  });
}
