import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { EvictedFile } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import type { RenderChanges } from '../journal-fixtures.ts';
import { AT, accept, allEvents, CANCELLED, claim, drawn, find, imageOf, newRender } from '../journal-fixtures.ts';

/** Renders an image, as of `at`; returns the render. */
async function draw(journal: Journal, digit: string, at: number, changes: RenderChanges = {}) {
  const render = await accept(journal, { createdAt: at, ...changes });
  await journal.finish({ ...(await claim(journal, 'draw', at)), result: drawn(digit), at });
  return render;
}

/** Gives up every file that was not used since then. */
function evictBefore(journal: Journal, keepSince: number): Promise<readonly EvictedFile[]> {
  return journal.evict({ limits: { maxBytes: 1, targetBytes: 0, keepSince }, at: keepSince });
}

/** Forgets what has ended by now, at `at`; what ends after this is younger. */
async function forgetBy(journal: Journal, at: number, after?: number) {
  await journal.noteTime({ at });
  return await journal.forget({ endedBefore: at + 1, at, after });
}

const isKnown = async (journal: Journal, id: string) => (await journal.findRender({ id, owner: 'ann' })) !== undefined;

/** What the journal forgets, and what it must still know. */
export function forgettingOfJournal(open: OpenJournal): void {
  describe('forget', () => {
    it('forgets what ended before then, with its prompts and events, and frees its id', async () => {
      const { journal, reopen } = await open();
      const old = await draw(journal, 'a', AT, { requestId: 'one', request: { prompt: 'an old river' } });
      const waiting = await accept(journal, { createdAt: AT, request: { prompt: 'a river that waits' } });
      const failed = await accept(journal, { createdAt: AT, requestId: 'two' });
      await journal.noteTime({ at: AT + 5 });
      await journal.settle({ renderId: failed.id, status: 'cancelled', error: CANCELLED, at: AT + 10 });
      expect((await journal.listRenders({ filters: { text: 'river' }, limit: 9 })).renders).toHaveLength(2);
      const { lastSeq } = journal;

      expect(await journal.forget({ endedBefore: AT + 5, at: AT + 5 })).toEqual({ renders: 0 });
      expect(await journal.forget({ endedBefore: AT + 10, at: AT + 10 })).toEqual({ renders: 1 });
      expect(await journal.forget({ endedBefore: AT + 10, at: AT + 10 })).toEqual({ renders: 0 });
      expect(await isKnown(journal, old.id)).toBe(false);
      expect(await isKnown(journal, 'one')).toBe(false);
      expect((await find(journal, waiting.id)).status).toBe('queued');
      expect((await find(journal, failed.id)).status).toBe('cancelled');
      const found = await journal.listRenders({ filters: { text: 'river' }, limit: 9 });
      expect(found.renders.map(({ id }) => id)).toEqual([waiting.id]);
      expect(await journal.findNearest({ prompt: 'an old river', limit: 1 })).toEqual([]);
      expect(JSON.stringify(await allEvents(journal))).not.toContain('an old river');

      const later = await reopen();
      expect(later.lastSeq).toBe(lastSeq);
      const anew = await accept(later, { requestId: 'one', bodyHash: 'other' });
      expect(anew.id).not.toBe(old.id);
      expect((await allEvents(later)).at(-1)?.event.seq).toBe(lastSeq + 1);
    });

    it('finds what is left by begun words, and nothing by those of what is gone', async () => {
      const { journal } = await open();
      await draw(journal, 'a', AT, { request: { prompt: 'a lagoon with a lighthouse' } });
      await journal.noteTime({ at: AT + 30 });
      const left = await draw(journal, 'b', AT + 50, { request: { prompt: 'a lagoon by lamplight' } });
      const found = async (text: string) =>
        (await journal.listRenders({ filters: { text }, limit: 9 })).renders.map(({ id }) => id);
      expect(await found('lago')).toHaveLength(2);
      expect(await found('lagoon light')).toHaveLength(1);
      expect(await journal.forget({ endedBefore: AT + 40, at: AT + 40 })).toMatchObject({ renders: 1 });
      expect(await found('lago')).toEqual([left.id]);
      expect(await found('lagoon lamp')).toEqual([left.id]);
      expect(await found('lagoon light')).toEqual([]);
    });

    it('forgets nothing that is active, however old, and numbers renders on', async () => {
      const { journal } = await open();
      const queued = await accept(journal, { createdAt: 0 });
      const running = await accept(journal, { createdAt: 0, priority: 1 });
      await claim(journal, 'draw', 0);
      expect(await forgetBy(journal, AT)).toEqual({ renders: 0 });
      for (const { id } of [queued, running]) await find(journal, id);
      await journal.settle({ renderId: queued.id, status: 'cancelled', error: CANCELLED, at: 5 });
      expect(await forgetBy(journal, AT)).toEqual({ renders: 1 });
      const next = await accept(journal);
      const { renders } = await journal.listRenders({ filters: {}, limit: 9 });
      expect(renders.map(({ id }) => id)).toEqual([next.id, running.id]);
    });

    it('goes on behind those that may not be forgotten, however many they are, and not to what is young', async () => {
      const { journal } = await open();
      const renders = (count: number, createdAt: number) =>
        Array.from({ length: count }, () => newRender({ createdAt }));
      await journal.accept({ renders: renders(600, 0), maxQueued: 10_000 });
      const old = await accept(journal, { createdAt: 0 });
      await journal.settle({ renderId: old.id, status: 'cancelled', error: CANCELLED, at: 5 });
      await journal.noteTime({ at: 5 });
      await journal.accept({ renders: renders(600, AT), maxQueued: 10_000 });
      const first = await journal.forget({ endedBefore: 10, at: AT });
      expect(first).toMatchObject({ renders: 0, next: expect.any(Number) });
      const second = await journal.forget({ endedBefore: 10, at: AT, after: first.next });
      expect(second).toEqual({ renders: 1 });
      expect(await isKnown(journal, old.id)).toBe(false);
    });

    it('keeps work that another render still has, with its images and what it took', async () => {
      const { journal } = await open();
      const first = await draw(journal, 'a', AT, { cacheKey: 'ab' });
      await journal.noteTime({ at: AT + 4 });
      const second = await accept(journal, { cacheKey: 'ab', createdAt: AT + 10 });
      expect(second).toMatchObject({ cached: true, workId: first.workId });
      expect(await journal.forget({ endedBefore: AT + 5, at: AT + 5 })).toEqual({ renders: 1 });
      expect(await isKnown(journal, first.id)).toBe(false);
      expect(await find(journal, second.id)).toMatchObject({ status: 'succeeded', images: [imageOf('a')] });
      expect(await journal.findShared({ cacheKey: 'ab' })).toMatchObject([imageOf('a')]);
      expect(await accept(journal, { cacheKey: 'ab', createdAt: AT + 11 })).toMatchObject({ cached: true });
      expect(await forgetBy(journal, AT + 20)).toEqual({ renders: 2 });
      expect(await journal.findShared({ cacheKey: 'ab' })).toEqual([]);
    });

    it('leaves images to those who give files up, and forgets them after that', async () => {
      const { journal } = await open();
      await draw(journal, 'a', AT);
      await journal.noteTime({ at: AT + 40 });
      const kept = await draw(journal, 'b', AT + 100);
      await journal.forget({ endedBefore: AT + 50, at: AT + 50 });
      const [a, b] = [{ imageId: 'a'.repeat(64) }, { imageId: 'b'.repeat(64) }];
      expect(await journal.findImage(a)).toMatchObject(a);
      expect(await evictBefore(journal, AT + 200)).toHaveLength(2);
      expect(await journal.findImage(a)).toMatchObject({ evictedAt: AT + 200 });
      await journal.forget({ endedBefore: AT + 100, at: AT + 300 });
      expect(await isKnown(journal, kept.id)).toBe(true);
      await journal.noteTime({ at: AT + 200 });
      expect(await journal.findImage(a)).toMatchObject({ evictedAt: AT + 200 });
      await journal.forget({ endedBefore: AT + 201, at: AT + 300 });
      // Its render went with this very call.
      expect(await isKnown(journal, kept.id)).toBe(false);
      expect(await journal.findImage(a)).toBeUndefined();
      expect(await journal.findImage(b)).toBeUndefined();
    });

    it('forgets many in several calls', async () => {
      const { journal } = await open();
      const renders = Array.from({ length: 1_100 }, () => newRender());
      await journal.accept({ renders, maxQueued: 10_000 });
      await journal.clearQueue({ error: CANCELLED, at: AT });
      const counts: number[] = [];
      let after: number | undefined = 0;
      while (after !== undefined) {
        const forgotten = await forgetBy(journal, AT, after);
        counts.push(forgotten.renders);
        after = forgotten.next;
      }
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1_100);
      expect(Math.max(...counts)).toBeLessThanOrEqual(500);
      expect((await journal.listRenders({ filters: {}, limit: 9 })).renders).toEqual([]);
      expect(await allEvents(journal)).toEqual([]);
    });
  });

  it('forgets by the order of what happened, whatever the clock said', async () => {
    const { journal, reopen } = await open();
    const DAY = 86_400_000;
    // The clock is a day ahead, then a day behind; the steady one runs on.
    const ahead = await draw(journal, 'a', AT + DAY, { createdAt: AT + DAY, steadyAt: AT });
    await journal.noteTime({ at: AT + 10 });
    const behind = await draw(journal, 'b', AT - DAY, { createdAt: AT - DAY, steadyAt: AT + 20 });
    await journal.noteTime({ at: AT + 30 });
    expect(await journal.forget({ endedBefore: AT + 10, at: AT + 40 })).toEqual({ renders: 0 });
    expect(await journal.forget({ endedBefore: AT + 25, at: AT + 40 })).toEqual({ renders: 1 });
    expect(await isKnown(journal, ahead.id)).toBe(false);
    const later = await reopen();
    expect(await isKnown(later, behind.id)).toBe(true);
    expect(await later.forget({ endedBefore: AT + 31, at: AT + 40 })).toEqual({ renders: 1 });
    expect(await allEvents(later)).toEqual([]);
  });

  it('knows the newest time of which it has heard', async () => {
    const { journal, reopen } = await open();
    expect(await journal.latestTime({})).toBe(0);
    await accept(journal, { steadyAt: AT + 5, inputs: [{ imageId: '1'.repeat(64), bytes: 5 }] });
    expect(await journal.latestTime({})).toBe(AT + 5);
    const key = { key: 'k', bodyHash: 'b' };
    await journal.accept({ renders: [newRender({ steadyAt: AT + 6 })], idempotency: key, maxQueued: 10 });
    expect(await journal.latestTime({})).toBe(AT + 6);
    await draw(journal, 'a', AT + 7);
    expect(await journal.latestTime({})).toBe(AT + 7);
    await journal.noteTime({ at: AT + 8 });
    expect(await (await reopen()).latestTime({})).toBe(AT + 8);
  });

  describe('a file that was given up', () => {
    it('is known as such until it is removed, also across a restart', async () => {
      const { journal, reopen } = await open();
      const depth = '1'.repeat(64);
      await draw(journal, 'a', AT, { inputs: [{ imageId: depth, bytes: 5 }], spec: { depthMap: depth } });
      await draw(journal, 'b', AT);
      expect(await journal.doomed({})).toEqual([]);
      const files = await evictBefore(journal, AT + 1);
      expect(files).toHaveLength(3);
      const later = await reopen();
      const doomed = await later.doomed({});
      expect(doomed).toHaveLength(3);
      expect(doomed).toEqual(expect.arrayContaining([...files]));
      expect(doomed).toContainEqual({ kind: 'input', imageId: depth });
      await later.removed({ files: doomed.slice(0, 2) });
      expect(await later.doomed({})).toEqual(doomed.slice(2));
      await later.removed({ files: doomed });
      expect(await later.doomed({})).toEqual([]);
      expect(await later.storeUsage({})).toEqual({ files: 0, bytes: 0 });
    });

    it('may be one that nothing came of, but none that is known', async () => {
      const { journal } = await open();
      await draw(journal, 'a', AT);
      const files = ['a', 'b'].map((digit) => ({ kind: 'image', imageId: digit.repeat(64), format: 'png' }) as const);
      await journal.doom({ files });
      await journal.doom({ files });
      expect(await journal.doomed({})).toEqual(files.slice(1));
      await draw(journal, 'b', AT);
      expect(await journal.doomed({})).toEqual([]);
      const inputs = ['1', '2'].map((digit) => ({ kind: 'input', imageId: digit.repeat(64) }) as const);
      await accept(journal, { inputs: [{ imageId: '1'.repeat(64), bytes: 5 }] });
      await journal.doom({ files: inputs });
      expect(await journal.doomed({})).toEqual(inputs.slice(1));
      await accept(journal, { inputs: [{ imageId: '2'.repeat(64), bytes: 5 }] });
      expect(await journal.doomed({})).toEqual([]);
    });

    it('is no longer to be removed once it is there again', async () => {
      const { journal, reopen } = await open();
      const inputs = [{ imageId: '1'.repeat(64), bytes: 5 }];
      await draw(journal, 'a', AT, { inputs });
      expect(await evictBefore(journal, AT + 1)).toHaveLength(2);
      const file = { kind: 'image', imageId: imageOf('a').imageId, format: 'png' } as const;
      expect(await journal.isDoomed({ file })).toBe(true);
      await draw(journal, 'a', AT + 10, { inputs });
      expect(await journal.isDoomed({ file })).toBe(false);
      expect(await (await reopen()).doomed({})).toEqual([]);
    });
  });

  describe('lose', () => {
    it('tells an image from one that is there, until it is made again', async () => {
      const { journal } = await open();
      const { id } = await draw(journal, 'a', AT);
      const { imageId } = imageOf('a');
      await journal.lose({ imageIds: [imageId, 'f'.repeat(64)], at: AT + 5 });
      await journal.lose({ imageIds: [imageId], at: AT + 9 });
      expect(await journal.findImage({ imageId })).toMatchObject({ evictedAt: AT + 5 });
      expect((await find(journal, id)).images).toMatchObject([{ imageId, evictedAt: AT + 5 }]);
      expect(await journal.storeUsage({})).toEqual({ files: 0, bytes: 0 });
      // There is nothing to remove.
      expect(await journal.doomed({})).toEqual([]);
      await draw(journal, 'a', AT + 20);
      expect((await journal.findImage({ imageId }))?.evictedAt).toBeUndefined();
    });
  });
}
