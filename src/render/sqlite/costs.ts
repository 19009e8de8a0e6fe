import type { JournalOperations } from '../journal.ts';
import type { AttemptRecord, LeftJob } from '../records.ts';
import type { JournalContext } from './context.ts';
import { readAttempt, readLeftJob } from './rows.ts';

/** What attempts leave at providers: jobs and bills. */
export function createCosts(
  context: JournalContext,
): Pick<JournalOperations, 'noteRemoteId' | 'noteCost' | 'spentSince' | 'leftJobs'> {
  const { run, one, all, log, firstRenderOf } = context;

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
        remoteId: remoteId ?? null,
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
      const known = one(
        `SELECT coalesce(sum(cost_usd), 0) AS usd FROM attempts
         WHERE cost_usd IS NOT NULL AND generator = $generator AND started_at >= $since`,
        { generator, since },
      );
      const unknown = one(
        `SELECT count(*) AS n FROM attempts INDEXED BY attempts_unbilled
         WHERE cost_usd IS NULL AND outcome IN ('detached', 'unknown') AND generator = $generator AND started_at >= $since`,
        { generator, since },
      );
      const last = one(
        `SELECT cost_usd AS usd FROM attempts WHERE cost_usd IS NOT NULL AND cost_usd > 0 AND generator = $generator
         ORDER BY started_at DESC LIMIT 1`,
        { generator },
      );
      return { usd: Number(known?.usd), unknown: Number(unknown?.n), lastUsd: Number(last?.usd ?? 0) };
    },

    leftJobs({ generators, since, limit }): LeftJob[] {
      return all(
        `SELECT attempts.*, spec FROM attempts INDEXED BY attempts_left JOIN works ON works.id = work_id
         WHERE remote_id IS NOT NULL AND cost_usd IS NULL AND outcome IN ('detached', 'crashed', 'released')
           AND ended_at >= $since AND attempts.generator IN (SELECT value FROM json_each($generators))
           AND works.status NOT IN ('queued', 'running')
           AND NOT EXISTS (SELECT 1 FROM attempts AS other
             WHERE other.work_id = attempts.work_id AND other.remote_id = attempts.remote_id
               AND (other.cost_usd IS NOT NULL OR other.attempt > attempts.attempt))
         ORDER BY ended_at DESC LIMIT $limit`,
        { generators: JSON.stringify(generators), since, limit },
      ).map(readLeftJob);
    },
  };
}
