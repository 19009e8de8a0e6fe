import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import type { ClaimedWork } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import { AT, accept, CANCELLED, claim, FAILURE, recover, succeeded } from '../journal-fixtures.ts';

/** What the journal knows of jobs that were left at providers. */
export function leftJobsOfJournal(open: OpenJournal): void {
  describe('leftJobs', () => {
    it('are those of attempts that were detached, until their cost is known', async () => {
      const { journal } = await open();
      const { id } = await accept(journal, { spec: { width: 128, seed: 9 } });
      const work = await beginJob(journal, 'job-1');
      expect(await left(journal)).toEqual([]);
      await cancel(journal, id);
      await journal.endAttempt({ ...work, outcome: 'detached', error: CANCELLED, at: AT + 5 });
      expect(await journal.leftJobs({ generators: ['other', 'draw'], since: AT + 5, limit: 9 })).toEqual([
        {
          workId: work.workId,
          attempt: 1,
          generator: 'draw',
          remoteId: 'job-1',
          spec: expect.objectContaining({ seed: 9 }),
        },
      ]);
      await journal.noteCost({ ...work, costUsd: 0, at: AT + 9 });
      expect(await left(journal)).toEqual([]);
    });

    it('are of these generators, not too old, and no more than wanted, the newest first', async () => {
      const { journal } = await open();
      for (const number of [1, 2, 3]) {
        const { id } = await accept(journal);
        const work = await beginJob(journal, `job-${number}`);
        await cancel(journal, id);
        await journal.endAttempt({ ...work, outcome: 'detached', at: AT + number });
      }
      expect(await left(journal)).toEqual(['job-3', 'job-2', 'job-1']);
      expect(await left(journal, { since: AT + 2 })).toEqual(['job-3', 'job-2']);
      expect(await left(journal, { limit: 1 })).toEqual(['job-3']);
      expect(await left(journal, { generators: ['other'] })).toEqual([]);
    });

    it('are not those of attempts that ended by themselves, or had none', async () => {
      const { journal } = await open();
      for (const outcome of ['failed', 'unknown', 'timeout', 'cancelled'] as const) {
        const { id } = await accept(journal);
        const work = await beginJob(journal, outcome);
        await cancel(journal, id);
        await journal.endAttempt({ ...work, outcome, at: AT });
      }
      const { id } = await accept(journal);
      const work = await claim(journal);
      await cancel(journal, id);
      await journal.endAttempt({ ...work, outcome: 'detached', at: AT });
      expect(await left(journal)).toEqual([]);
    });

    it('are those of works that were given up before, or after, the process died', async () => {
      const opened = await open();
      const before = await accept(opened.journal);
      await beginJob(opened.journal, 'before');
      await cancel(opened.journal, before.id);
      const after = await accept(opened.journal);
      await beginJob(opened.journal, 'after');
      const kept = await accept(opened.journal);
      await beginJob(opened.journal, 'kept');

      const journal = await opened.reopen();
      await recover(journal, { at: AT + 5 });
      expect(await left(journal)).toEqual(['before']);
      expect(await cancel(journal, after.id)).toMatchObject({ settled: true, leftJob: true });
      expect((await left(journal)).toSorted()).toEqual(['after', 'before']);

      const again = await claim(journal);
      expect(again.remoteId).toBe('kept');
      await journal.finish({ ...again, result: succeeded(), at: AT + 9 });
      expect((await left(journal)).toSorted()).toEqual(['after', 'before']);
      expect(kept.workId).toBe(again.workId);
    });

    it('are told of once when several attempts went on with one', async () => {
      const opened = await open();
      const { id } = await accept(opened.journal);
      const first = await beginJob(opened.journal, 'job');
      await opened.journal.release({ ...first, at: AT + 1 });
      const second = await claim(opened.journal);
      await cancel(opened.journal, id);
      await opened.journal.endAttempt({ ...second, outcome: 'detached', at: AT + 2 });
      const jobs = await opened.journal.leftJobs({ generators: ['draw'], since: 0, limit: 9 });
      expect(jobs).toMatchObject([{ attempt: 2, remoteId: 'job' }]);
      await opened.journal.noteCost({ ...first, costUsd: 0.5, at: AT + 3 });
      expect(await left(opened.journal)).toEqual([]);
    });
  });

  describe('settle', () => {
    it('says of a job that is left only where the work waited to go on with it', async () => {
      const { journal } = await open();
      const running = await accept(journal);
      await beginJob(journal, 'job');
      expect(await cancel(journal, running.id)).not.toHaveProperty('leftJob');

      const shared = { cacheKey: 'ab' };
      const one = await accept(journal, shared);
      const two = await accept(journal, shared);
      const work = await beginJob(journal, 'shared');
      await journal.release({ ...work, at: AT });
      expect(await cancel(journal, one.id)).not.toHaveProperty('leftJob');
      expect(await cancel(journal, two.id)).toMatchObject({ leftJob: true });

      const plain = await accept(journal);
      await journal.release({ ...(await claim(journal)), at: AT });
      const failed = await journal.settle({ renderId: plain.id, status: 'failed', error: FAILURE, at: AT });
      expect(failed).not.toHaveProperty('leftJob');
    });
  });
}

async function beginJob(journal: Journal, remoteId: string): Promise<ClaimedWork> {
  const work = await claim(journal);
  await journal.noteRemoteId({ ...work, remoteId });
  return work;
}

function cancel(journal: Journal, renderId: string) {
  return journal.settle({ renderId, status: 'cancelled', error: CANCELLED, at: AT });
}

async function left(journal: Journal, changes: Partial<Parameters<Journal['leftJobs']>[0]> = {}): Promise<string[]> {
  const jobs = await journal.leftJobs({ generators: ['draw'], since: 0, limit: 100, ...changes });
  return jobs.map(({ remoteId }) => remoteId);
}
