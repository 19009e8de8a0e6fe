import type { PublicError } from '../../errors.ts';
import { fail, handBack } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readAsker, readAttempt, readWork } from './rows.ts';
import { failing } from './work.ts';

/**
 * Times `crash_attempts`: how often work may be interrupted altogether whose job is a provider's. It is not what kills
 * the process as long as it is only asked after, and the job is paid.
 */
const RESUMES = 10;

/** What a start makes of what the last process left. */
export function createRecovery(context: JournalContext): Pick<JournalOperations, 'interrupted' | 'recover'> {
  const { run, all, change, waitersOf, logAttempt } = context;

  /** Work for a generator that is gone would wait for ever; returns how many there were. */
  function failUnserved(generators: readonly string[], at: number): number {
    const unserved = all(
      `SELECT * FROM works WHERE status = 'queued' AND generator NOT IN (SELECT value FROM json_each($generators))`,
      { generators: JSON.stringify(generators) },
    ).map(readWork);
    for (const { id: workId, generator } of unserved) {
      giveUp(workId, failing('generator_unavailable', `The server has no generator ${generator} any more.`), at);
    }
    return unserved.length;
  }

  /** Ends the attempts that ended with the process; those of given-up work may have been running still. */
  function closeAttempts(at: number): void {
    const open = all(
      `SELECT attempts.*, renders.id, renders.owner, renders.door, renders.request_id FROM attempts
       JOIN renders ON renders.ord = (SELECT min(ord) FROM renders WHERE renders.work_id = attempts.work_id)
       WHERE ended_at IS NULL`,
    );
    run(`UPDATE attempts SET ended_at = $at, outcome = 'crashed' WHERE ended_at IS NULL`, { at });
    for (const row of open) logAttempt(readAttempt(row), readAsker(row), at, { outcome: 'crashed' });
  }

  /** Work that was running, and in how many of its attempts the process died; `own`: those that no provider had a job of. */
  function interruptedWork(): { workId: string; crashes: number; own: number }[] {
    return all(
      `SELECT id, count(attempt) AS crashes, count(attempt) FILTER (WHERE remote_id IS NULL) AS own FROM works INDEXED BY works_running
       LEFT JOIN attempts ON attempts.work_id = works.id AND outcome = 'crashed'
       WHERE works.status = 'running' GROUP BY works.ord ORDER BY works.ord`,
    ).map(({ id, crashes, own }) => ({ workId: String(id), crashes: Number(crashes), own: Number(own) }));
  }

  /** There may be thousands: all works go back at once, and no more of a render is read than its change needs. */
  function requeue(workIds: readonly string[], at: number): void {
    const works = { ids: JSON.stringify(workIds) };
    run(`UPDATE works SET status = 'queued' WHERE id IN (SELECT value FROM json_each($ids))`, works);
    const waiting = all(
      `SELECT renders.id, owner, door, request_id FROM json_each($ids) JOIN renders ON work_id = value
       WHERE status IN ('queued', 'running')`,
      works,
    );
    for (const row of waiting) change(readAsker(row), handBack(at, 0));
  }

  function giveUp(workId: string, error: PublicError, at: number): void {
    run(`UPDATE works SET status = 'failed' WHERE id = $workId`, { workId });
    for (const render of waitersOf(workId)) change(render, fail(render, error, at));
  }

  return {
    interrupted: () =>
      all(`SELECT id, attempts FROM works INDEXED BY works_running WHERE status = 'running' ORDER BY ord`).map(
        ({ id, attempts }) => ({
          workId: String(id),
          attempt: Number(attempts),
        }),
      ),

    recover({ crashAttempts, generators, at, steadyAt }) {
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
      closeAttempts(at);
      const works = Object.groupBy(interruptedWork(), ({ crashes, own }) =>
        own < crashAttempts && crashes < crashAttempts * RESUMES ? 'again' : 'over',
      );
      const { again = [], over = [] } = works;
      requeue(
        again.map(({ workId }) => workId),
        at,
      );
      for (const { workId, crashes } of over) {
        giveUp(workId, failing('crashed', `The server stopped ${crashes} times while it worked on this render.`), at);
      }
      return { requeued: again.length, failed: over.length + failUnserved(generators, at) };
    },
  };
}
