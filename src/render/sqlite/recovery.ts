import { fail, handBack } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readWork } from './rows.ts';
import { failing } from './work.ts';

/** What a start makes of what the last process left. */
export function createRecovery(context: JournalContext): Pick<JournalOperations, 'interrupted' | 'recover'> {
  const { run, one, all, change, waitersOf, closeAttempt } = context;
  const running = () => all(`SELECT * FROM works WHERE status = 'running'`).map(readWork);

  /** Work for a generator that is gone would wait for ever; returns how many there were. */
  function failUnserved(generators: readonly string[], at: number): number {
    const unserved = all(
      `SELECT * FROM works WHERE status = 'queued' AND generator NOT IN (SELECT value FROM json_each($generators))`,
      { generators: JSON.stringify(generators) },
    ).map(readWork);
    for (const { id: workId, generator } of unserved) {
      run(`UPDATE works SET status = 'failed' WHERE id = $workId`, { workId });
      const error = failing('generator_unavailable', `The server has no generator ${generator} any more.`);
      for (const render of waitersOf(workId)) change(render, fail(render, error, at));
    }
    return unserved.length;
  }

  function crashesOf(workId: string): number {
    const row = one(`SELECT count(*) AS n FROM attempts WHERE work_id = $workId AND outcome = 'crashed'`, { workId });
    return Number(row?.n);
  }

  return {
    interrupted: () => running().map(({ id, attempts }) => ({ workId: id, attempt: attempts })),

    recover({ crashAttempts, generators, at, steadyAt }) {
      const message = `The server stopped ${crashAttempts} times while it worked on this render.`;
      // The clock may have been set back since.
      run(
        `UPDATE renders INDEXED BY renders_active SET queue_until = min(queue_until,
           $at + CASE WHEN started_at IS NULL THEN queue_timeout_ms ELSE timeout_ms - spent_ms END)
         WHERE status IN ('queued', 'running') AND status = 'queued'`,
        { at: steadyAt },
      );
      run(
        `UPDATE renders INDEXED BY renders_active SET queue_until = NULL
         WHERE status IN ('queued', 'running') AND status = 'running'`,
      );
      let requeued = 0;
      let failed = 0;
      // Given-up work may have been running still: its attempt ended with the process as well.
      for (const { work_id: workId, attempt } of all('SELECT work_id, attempt FROM attempts WHERE ended_at IS NULL')) {
        closeAttempt(String(workId), Number(attempt), at, { outcome: 'crashed' });
      }
      for (const { id: workId } of running()) {
        const again = crashesOf(workId) < crashAttempts;
        run('UPDATE works SET status = $status WHERE id = $workId', { workId, status: again ? 'queued' : 'failed' });
        for (const render of waitersOf(workId)) {
          change(render, again ? handBack(at, 0) : fail(render, failing('crashed', message), at));
        }
        if (again) requeued += 1;
        else failed += 1;
      }
      return { requeued, failed: failed + failUnserved(generators, at) };
    },
  };
}
