import type { JournalOperations } from '../journal.ts';
import type { AttemptRecord } from '../records.ts';
import type { JournalContext } from './context.ts';
import { readAttempt } from './rows.ts';

/** What attempts leave at providers: jobs and bills. */
export function createCosts(
  context: JournalContext,
): Pick<JournalOperations, 'noteRemoteId' | 'noteCost' | 'spentSince'> {
  const { run, one, log, firstRenderOf } = context;

  /** A job that several attempts have asked after is paid once: the first one that told its cost has it. */
  function isPaid(workId: string, { attempt, remoteId }: AttemptRecord): boolean {
    const sql = `SELECT 1 FROM attempts WHERE work_id = $workId AND attempt <> $attempt AND remote_id = $remoteId
      AND cost_usd IS NOT NULL`;
    return one(sql, { workId, attempt, remoteId: remoteId ?? null }) !== undefined;
  }

  return {
    noteRemoteId({ workId, attempt, remoteId }) {
      run('UPDATE attempts SET remote_id = $remoteId WHERE work_id = $workId AND attempt = $attempt', {
        workId,
        attempt,
        remoteId,
      });
    },

    noteCost({ workId, attempt, costUsd, at }) {
      const where = { workId, attempt };
      const row = one('SELECT * FROM attempts WHERE work_id = $workId AND attempt = $attempt', where);
      if (row !== undefined && isPaid(workId, readAttempt(row))) return;
      run('UPDATE attempts SET cost_usd = $costUsd WHERE work_id = $workId AND attempt = $attempt', {
        ...where,
        costUsd,
      });
      const render = firstRenderOf(workId);
      if (row === undefined || render === undefined) return;
      const { generator, endedAt, costUsd: known } = readAttempt(row);
      // As long as the attempt goes on, its end will tell; and what was told once would count twice.
      if (endedAt === undefined || known === costUsd) return;
      const about = { render_id: render.id, request_id: render.requestId };
      log({ type: 'CostKnown', ...about, generator, attempt, cost_usd: costUsd }, at, render);
    },

    spentSince({ generator, since }) {
      const row = one(
        `SELECT coalesce(sum(cost_usd), 0) AS usd FROM attempts
         WHERE cost_usd IS NOT NULL AND generator = $generator AND started_at >= $since`,
        { generator, since },
      );
      return Number(row?.usd);
    },
  };
}
