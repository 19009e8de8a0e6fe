import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import { AT, accept, claim, find, imageOf, newRender } from '../journal-fixtures.ts';

/** Renders one image, as of `at`; returns the render's id. */
async function draw(journal: Journal, name: string, at: number, bytes?: number): Promise<string> {
  const { id } = await accept(journal);
  const { workId, attempt } = await claim(journal, 'draw', at);
  const result = { kind: 'succeeded', images: [imageOf(name, bytes)], renderMs: 1, storeMs: 1 } as const;
  await journal.finish({ workId, attempt, result, at });
  return id;
}

function names(files: Awaited<ReturnType<Journal['evict']>>): string[] {
  return files.map(({ kind, imageId }) => `${kind} ${imageId[0]}`);
}

/** What the journal gives up of the image store. */
export function retentionOfJournal(open: OpenJournal): void {
  describe('evict', () => {
    it('gives up what was used least recently, from above the limit down to the target', async () => {
      const { journal, reopen } = await open();
      for (const [index, name] of ['a', 'b', 'c', 'd', 'e'].entries()) await draw(journal, name, AT + index);
      expect(await journal.storeUsage({})).toEqual({ files: 5, bytes: 500 });
      const limits = { maxBytes: 400, targetBytes: 320, keepSince: AT + 100 };
      expect(names(await journal.evict({ limits, at: AT + 200 }))).toEqual(['image a', 'image b']);
      expect(await journal.evict({ limits, at: AT + 200 })).toEqual([]);
      const later = await reopen();
      expect(await later.findImage({ imageId: 'a'.repeat(64) })).toMatchObject({ evictedAt: AT + 200 });
      expect((await later.findImage({ imageId: 'c'.repeat(64) }))?.evictedAt).toBeUndefined();
      expect(await later.storeUsage({})).toEqual({ files: 3, bytes: 300 });
    });

    it('gives up nothing within the limit, nor what was used too lately', async () => {
      const { journal } = await open();
      for (const [index, name] of ['a', 'b', 'c'].entries()) await draw(journal, name, AT + index * 10);
      const within = { maxBytes: 300, targetBytes: 100, keepSince: AT + 1000 };
      expect(await journal.evict({ limits: within, at: AT + 1000 })).toEqual([]);
      const pinned = { maxBytes: 10, targetBytes: 5, keepSince: AT + 10 };
      expect(names(await journal.evict({ limits: pinned, at: AT + 1000 }))).toEqual(['image a']);
    });

    it('gives up what is too old although there is room', async () => {
      const { journal } = await open();
      for (const [index, name] of ['a', 'b', 'c'].entries()) await draw(journal, name, AT + index * 10);
      const limits = { maxBytes: 1000, targetBytes: 800, keepSince: AT + 500, dropBefore: AT + 11 };
      expect(names(await journal.evict({ limits, at: AT + 1000 }))).toEqual(['image a', 'image b']);
    });

    it('counts a look as a use, to the minute', async () => {
      const { journal } = await open();
      await draw(journal, 'a', AT);
      await draw(journal, 'b', AT + 1);
      await journal.touch({ imageIds: ['a'.repeat(64)], at: AT + 30_000 });
      await journal.touch({ imageIds: ['b'.repeat(64), 'f'.repeat(64)], at: AT + 120_000 });
      const limits = { maxBytes: 100, targetBytes: 100, keepSince: AT + 500_000 };
      expect(names(await journal.evict({ limits, at: AT + 600_000 }))).toEqual(['image a']);
    });

    it('has an image back that is made again', async () => {
      const { journal } = await open();
      await draw(journal, 'a', AT);
      const limits = { maxBytes: 10, targetBytes: 0, keepSince: AT + 1 };
      expect(names(await journal.evict({ limits, at: AT + 5 }))).toEqual(['image a']);
      const id = await draw(journal, 'a', AT + 10);
      expect((await journal.findImage({ imageId: 'a'.repeat(64) }))?.evictedAt).toBeUndefined();
      expect((await find(journal, id)).images).toEqual([imageOf('a')]);
      expect(await journal.storeUsage({})).toEqual({ files: 1, bytes: 100 });
    });

    it('keeps the inputs of what is not over, and gives up the others', async () => {
      const { journal } = await open();
      const [depth, reference] = ['1'.repeat(64), '2'.repeat(64)];
      const { id } = await accept(journal, {
        inputs: [{ imageId: depth, bytes: 50 }],
        spec: { depthMap: depth },
        createdAt: AT,
      });
      // Refused, but its file is there all the same.
      await journal.accept({ renders: [newRender({ inputs: [{ imageId: reference, bytes: 70 }] })], maxQueued: 0 });
      const limits = { maxBytes: 10, targetBytes: 0, keepSince: AT + 1000 };
      expect(names(await journal.evict({ limits, at: AT + 1000 }))).toEqual(['input 2']);
      await claim(journal);
      expect(await journal.evict({ limits, at: AT + 1000 })).toEqual([]);
      await journal.settle({
        renderId: id,
        status: 'cancelled',
        error: { code: 'cancelled', message: 'No.', retryable: false },
        at: AT,
      });
      expect(names(await journal.evict({ limits, at: AT + 1000 }))).toEqual(['input 1']);
      expect(await journal.storeUsage({})).toEqual({ files: 0, bytes: 0 });
    });

    it('gives up many in several calls', async () => {
      const { journal } = await open();
      const inputs = Array.from({ length: 1200 }, (_, number) => ({
        imageId: number.toString(16).padStart(64, '0'),
        bytes: 1,
      }));
      const { id } = await accept(journal, { inputs });
      await find(journal, id);
      const limits = { maxBytes: 10, targetBytes: 10, keepSince: AT + 1000 };
      let total = 0;
      for (;;) {
        const files = await journal.evict({ limits, at: AT + 1000 });
        if (files.length === 0) break;
        expect(files.length).toBeLessThanOrEqual(500);
        total += files.length;
      }
      expect(total).toBe(1190);
    });
  });
}
