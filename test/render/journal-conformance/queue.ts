import { describe, expect, it } from 'vitest';
import type { RenderRecord } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  acceptOne,
  allEvents,
  CANCELLED,
  claim,
  eventTypesOf,
  FAILURE,
  find,
  images,
  newRender,
  recover,
  succeeded,
  TIMEOUT,
} from '../journal-fixtures.ts';

/** How work is taken, done and given up. */
export function queueOfJournal(open: OpenJournal): void {
  describe('claim', () => {
    it('takes by priority, then the bus before others, then by arrival', async () => {
      const { journal } = await open();
      const places = [
        { requestId: 'low', priority: -1, door: 'bus' },
        { requestId: 'rest-1', priority: 0, door: 'rest' },
        { requestId: 'bus-1', priority: 0, door: 'bus' },
        { requestId: 'rest-2', priority: 0, door: 'rest' },
        { requestId: 'bus-2', priority: 0, door: 'bus' },
        { requestId: 'high', priority: 1, door: 'rest' },
      ] as const;
      for (const place of places) await accept(journal, place);
      const wanted = ['high', 'bus-1', 'bus-2', 'rest-1', 'rest-2', 'low'];
      for (const [index, requestId] of wanted.entries()) {
        expect((await find(journal, requestId)).queuePosition).toBe(index + 1);
      }
      for (const requestId of wanted) {
        expect((await find(journal, requestId)).queuePosition).toBe(1);
        expect((await claim(journal)).waiters).toMatchObject([{ requestId }]);
        expect((await find(journal, requestId)).queuePosition).toBeUndefined();
      }
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
    });

    it('does not take the work of another generator', async () => {
      const { journal } = await open();
      await accept(journal, { generator: 'other' });
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
      expect((await claim(journal, 'other')).generator).toBe('other');
    });

    it('marks the render as running and says so', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      await claim(journal, 'draw', AT + 9);
      const { attempts, ...render } = await find(journal, id);
      expect(render).toMatchObject({ status: 'running', startedAt: AT + 9 });
      expect(attempts).toEqual([{ attempt: 1, generator: 'draw', startedAt: AT + 9 }]);
      expect((await allEvents(journal)).at(-1)).toMatchObject({
        owner: 'ann',
        door: 'rest',
        event: { type: 'RenderStarted', render_id: id, request_id: id, generator: 'draw', attempt: 1 },
      });
    });

    it('never hands out a work twice, however many ask at once', async () => {
      const { journal } = await open();
      const renders = await Promise.all(Array.from({ length: 30 }, () => accept(journal)));
      const claims = await Promise.all(
        Array.from({ length: 50 }, () => journal.claim({ generator: 'draw', at: AT, steadyAt: AT })),
      );
      const taken = claims.flatMap((work) => (work === undefined ? [] : [work.workId]));
      expect(taken.toSorted()).toEqual(renders.map(({ workId }) => workId).toSorted());
    });
  });

  describe('the queue', () => {
    it('has positions, counts and an order that agree, whatever went in and out', async () => {
      const { journal, reopen } = await open();
      const renders: RenderRecord[] = [];
      for (let number = 0; number < 36; number += 1) {
        const generator = number % 4 === 0 ? 'other' : 'draw';
        const door = number % 2 === 0 ? 'rest' : 'bus';
        renders.push(await accept(journal, { generator, door, priority: (number % 3) - 1 }));
      }
      for (const [index, { id }] of renders.entries()) {
        if (index % 5 === 0) await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      }
      const [first, second, third] = [await claim(journal), await claim(journal), await claim(journal, 'other')];
      await claim(journal);
      await journal.release({ ...second, at: AT });
      await journal.finish({ ...first, result: succeeded(), at: AT });
      await journal.finish({ ...third, result: { kind: 'failed', error: FAILURE }, at: AT });
      const later = await reopen();
      await recover(later, { generators: ['draw', 'other'], at: AT });
      await accept(later, { clearQueue: true, owner: 'bob', priority: 1 });

      const stats = await later.queueStats({});
      expect(stats.length).toBe(2);
      let waiting = stats.reduce((sum, { queued }) => sum + queued, 0);
      for (const { generator, queued } of stats) {
        for (let position = 1; position <= queued; position += 1) {
          const all = await Promise.all(renders.map(({ id }) => find(later, id)));
          const own = all.filter((render) => render.generator === generator && render.status === 'queued');
          const places = own.map(({ queuePosition = 0 }) => queuePosition).toSorted((a, b) => a - b);
          expect(places.at(-1) ?? 0).toBeLessThanOrEqual(queued - position + 1);
          expect(new Set(places).size).toBe(own.length);
          const next = own.find(({ queuePosition }) => queuePosition === 1);
          const work = await claim(later, generator);
          if (next !== undefined) expect(work.workId).toBe(next.workId);
          waiting -= 1;
          const probe = await acceptOne(later, newRender(), waiting);
          expect(probe).toEqual({ kind: 'full', queued: waiting });
        }
        expect(await later.claim({ generator, at: AT, steadyAt: AT })).toBeUndefined();
      }
    });
  });

  describe('the wait of a render', () => {
    it('is measured by the steady clock, wherever the wall clock jumps to, and is told the same each time', async () => {
      const { journal, reopen } = await open();
      const { id } = await accept(journal);
      for (const at of [AT + 86_400_000, AT - 86_400_000]) {
        const work = await journal.claim({ generator: 'draw', at, steadyAt: AT + 40 });
        if (work === undefined) throw new Error('there was no work');
        await journal.release({ ...work, at });
      }
      const later = await reopen();
      const { workId, attempt } = await claim(later, 'draw', AT + 5);
      await later.finish({ workId, attempt, result: succeeded(), at: AT + 9 });
      expect((await find(later, id)).timings?.queued_ms).toBe(40);
      const waits = (await allEvents(later)).flatMap(({ event }) =>
        event.type === 'RenderStarted' ? [event.queued_ms] : [],
      );
      expect(waits).toEqual([40, 40, 40]);
    });
  });

  describe('finish', () => {
    it('writes images, events and the end together', async () => {
      const { journal } = await open();
      const heard: string[][] = [];
      journal.onEvents((events) => heard.push(events.map(({ event }) => event.type)));
      const { id } = await accept(journal, {
        requestId: 'one',
        request: { prompt: 'a delta', era: 'modern', biome: 'river' },
        spec: { numImages: 3 },
      });
      const { workId, attempt } = await claim(journal, 'draw', AT + 40);
      const { settled } = await journal.finish({ workId, attempt, result: succeeded(3), at: AT + 100 });

      expect(settled).toEqual([id]);
      expect(await find(journal, id)).toMatchObject({
        status: 'succeeded',
        images: images(3),
        startedAt: AT + 40,
        finishedAt: AT + 100,
        timings: { queued_ms: 40, render_ms: 20, store_ms: 3 },
        attempts: [{ attempt: 1, endedAt: AT + 100, outcome: 'succeeded' }],
      });
      for (const { seed: _, ...image } of images(3)) {
        expect(await journal.findImage({ imageId: image.imageId })).toEqual(image);
      }
      expect(heard.at(-1)).toEqual(['AttemptEnded', 'ImageReady', 'ImageReady', 'ImageReady']);
      const events = (await allEvents(journal)).map(({ event }) => event);
      expect(events.at(-4)).toMatchObject({ outcome: 'succeeded', attempt: 1, duration_ms: 60 });
      for (const [index, { imageId, seed }] of images(3).entries()) {
        expect(events.at(index - 3)).toMatchObject({
          type: 'ImageReady',
          render_id: id,
          request_id: 'one',
          prompt: 'a delta',
          era: 'modern',
          biome: 'river',
          image_id: imageId,
          url: `/v1/images/${imageId}`,
          seed,
          index,
          of: 3,
          cached: false,
        });
      }
    });

    it('keeps an image once that two renders made', async () => {
      const { journal } = await open();
      for (const requestId of ['one', 'two']) {
        await accept(journal, { requestId });
        const { workId, attempt } = await claim(journal);
        await journal.finish({ workId, attempt, result: succeeded(), at: AT });
        expect((await find(journal, requestId)).images).toEqual(images());
      }
    });

    it('ends a render without images when the work failed', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      await journal.finish({ workId, attempt, result: { kind: 'failed', error: FAILURE }, at: AT + 1 });
      expect(await find(journal, id)).toMatchObject({
        status: 'failed',
        error: FAILURE,
        finishedAt: AT + 1,
        images: [],
        attempts: [{ outcome: 'failed', error: FAILURE }],
      });
      const events = (await allEvents(journal)).slice(-2);
      expect(events).toMatchObject([
        { event: { type: 'AttemptEnded', outcome: 'failed', code: 'generator_failed' } },
        { event: { type: 'RenderFailed', render_id: id, ...FAILURE } },
      ]);
    });

    it('changes nothing with another attempt, before a claim, twice, or of unknown work', async () => {
      const { journal } = await open();
      const { id, workId } = await accept(journal);
      const tryFinish = async (attempt: number, work = workId) => {
        const before = await allEvents(journal);
        const { settled } = await journal.finish({ workId: work, attempt, result: succeeded(), at: AT });
        expect(settled).toEqual([]);
        expect(await allEvents(journal)).toEqual(before);
      };
      await tryFinish(0);
      await tryFinish(1);
      await claim(journal);
      await tryFinish(2);
      await tryFinish(1, 'unknown');
      expect((await find(journal, id)).status).toBe('running');
      await journal.finish({ workId, attempt: 1, result: succeeded(), at: AT });
      await tryFinish(1);
      expect((await find(journal, id)).status).toBe('succeeded');
    });

    it('changes nothing after everybody has left, but knows the files that are there', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      const left = await journal.settle({ renderId: id, status: 'failed', error: TIMEOUT, at: AT });
      expect(left).toEqual({ settled: true, stoppedWork: workId });
      expect(await journal.finish({ workId, attempt, result: succeeded(), at: AT })).toEqual({ settled: [] });
      expect(await find(journal, id)).toMatchObject({ status: 'failed', error: TIMEOUT, images: [] });
      expect(await journal.findImage({ imageId: images()[0]?.imageId ?? '' })).toMatchObject({ bytes: 100 });
    });
  });

  describe('settle', () => {
    it('gives up the work of a queued render, so that nobody ever takes it', async () => {
      const { journal, reopen } = await open();
      const { id, workId } = await accept(journal);
      const next = await accept(journal);
      const left = await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT + 3 });
      expect(left).toEqual({ settled: true, stoppedWork: workId });
      expect(await find(journal, id)).toMatchObject({ status: 'cancelled', error: CANCELLED, finishedAt: AT + 3 });
      expect((await find(journal, next.id)).queuePosition).toBe(1);
      const later = await reopen();
      await recover(later, { at: AT });
      expect((await claim(later)).workId).toBe(next.workId);
      expect(await later.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
    });

    it('does nothing a second time, or to what is not there', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      const again = await journal.settle({ renderId: id, status: 'failed', error: TIMEOUT, at: AT });
      expect(again).toEqual({ settled: false });
      const nowhere = await journal.settle({ renderId: 'none', status: 'failed', error: TIMEOUT, at: AT });
      expect(nowhere).toEqual({ settled: false });
      expect(await eventTypesOf(journal, id)).toEqual(['RenderQueued', 'RenderCancelled']);
    });
  });

  describe('endAttempt', () => {
    it('notes once how an attempt ended that nobody waits for', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      await journal.settle({ renderId: id, status: 'failed', error: TIMEOUT, at: AT });
      const call = { workId, attempt, outcome: 'timeout', error: TIMEOUT, at: AT + 5 } as const;
      await journal.endAttempt(call);
      await journal.endAttempt({ ...call, outcome: 'cancelled' });
      expect((await find(journal, id)).attempts).toMatchObject([
        { outcome: 'timeout', error: TIMEOUT, endedAt: AT + 5 },
      ]);
      expect((await eventTypesOf(journal, id)).filter((type) => type === 'AttemptEnded').length).toBe(1);
    });
  });

  describe('noteRemoteId', () => {
    it('keeps a provider’s job id with its attempt', async () => {
      const { journal, reopen } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      await journal.noteRemoteId({ workId, attempt, remoteId: 'job-9' });
      expect((await find(await reopen(), id)).attempts).toMatchObject([{ remoteId: 'job-9' }]);
    });
  });

  describe('release', () => {
    it('puts work back at its old place, without an end', async () => {
      const { journal } = await open();
      const [first, second] = [await accept(journal), await accept(journal)];
      const { workId, attempt } = await claim(journal, 'draw', AT + 1);
      await accept(journal);
      await journal.release({ workId, attempt, at: AT + 2 });
      const { error, finishedAt, ...render } = await find(journal, first.id);
      expect({ error, finishedAt }).toEqual({});
      expect(render).toMatchObject({
        status: 'queued',
        queuePosition: 1,
        attempts: [{ outcome: 'released', endedAt: AT + 2 }],
      });
      expect(await journal.lastEvents({ renderId: first.id })).toEqual([]);
      expect(await claim(journal, 'draw', AT + 3)).toMatchObject({ workId: first.workId, attempt: 2 });
      expect((await find(journal, first.id)).startedAt).toBe(AT + 1);
      expect((await claim(journal)).workId).toBe(second.workId);
    });

    it('does nothing with another attempt', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId } = await claim(journal);
      await journal.release({ workId, attempt: 2, at: AT });
      const { status, attempts } = await find(journal, id);
      expect([status, attempts.map(({ outcome }) => outcome)]).toEqual(['running', [undefined]]);
    });

    it('ends the attempt of work that everybody has left, and does not queue it', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      await journal.release({ workId, attempt, at: AT });
      expect(await find(journal, id)).toMatchObject({ status: 'cancelled', attempts: [{ outcome: 'cancelled' }] });
      expect(await journal.claim({ generator: 'draw', at: AT, steadyAt: AT })).toBeUndefined();
    });

    it('leaves the job of work that everybody has left to be asked after', async () => {
      const { journal } = await open();
      const { id } = await accept(journal);
      const { workId, attempt } = await claim(journal);
      await journal.noteRemoteId({ workId, attempt, remoteId: 'job-1' });
      await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
      await journal.release({ workId, attempt, at: AT });
      expect((await find(journal, id)).attempts).toMatchObject([{ outcome: 'detached' }]);
      const left = await journal.leftJobs({ generators: ['draw'], since: AT, limit: 9 });
      expect(left).toMatchObject([{ workId, attempt, remoteId: 'job-1' }]);
    });
  });

  describe('queueStats', () => {
    it('counts per generator what waits and what runs, and since when', async () => {
      const { journal } = await open();
      expect(await journal.queueStats({})).toEqual([]);
      await accept(journal, { createdAt: AT + 1 });
      await accept(journal, { createdAt: AT + 2 });
      const third = await accept(journal, { createdAt: AT + 3 });
      await accept(journal, { createdAt: AT + 4, generator: 'other' });
      await claim(journal);
      await claim(journal, 'other');
      await journal.settle({ renderId: third.id, status: 'cancelled', error: CANCELLED, at: AT });
      const stats = await journal.queueStats({});
      expect(stats.toSorted((a, b) => (a.generator < b.generator ? -1 : 1))).toEqual([
        { generator: 'draw', queued: 1, running: 1, oldestAt: AT + 2 },
        { generator: 'other', queued: 0, running: 1, oldestAt: undefined },
      ]);
    });
  });
}
