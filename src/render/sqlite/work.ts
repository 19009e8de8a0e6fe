import type { PublicError } from '../../errors.ts';
import { cancel, fail, handBack, start, succeed } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readAttempt, readWork } from './rows.ts';

type WorkOperations = Pick<
  JournalOperations,
  'claim' | 'noteRemoteId' | 'noteCost' | 'settle' | 'finish' | 'endAttempt' | 'release' | 'recover'
>;

/** How work is taken, done, given up and taken up again. */
export function createWorkOperations(context: JournalContext): WorkOperations {
  const { run, one, all, log, change, firstRenderOf, renderOf, waitersOf, abandonWhenIdle, closeAttempt } = context;

  /** Work for a generator that is gone would wait for ever; returns how many there were. */
  function failUnserved(generators: readonly string[], at: number): number {
    const unserved = all(
      `SELECT * FROM works WHERE status = 'queued' AND generator NOT IN (SELECT value FROM json_each($generators))`,
      { generators: JSON.stringify(generators) },
    ).map(readWork);
    for (const { id: workId, generator } of unserved) {
      const message = `The server has no generator ${generator} any more.`;
      run(`UPDATE works SET status = 'failed' WHERE id = $workId`, { workId });
      const error: PublicError = { code: 'generator_unavailable', message, retryable: true };
      for (const render of waitersOf(workId)) change(render, fail(render, error, at));
    }
    return unserved.length;
  }

  return {
    claim({ generator, at }) {
      const row = one(
        `UPDATE works SET status = 'running', attempts = attempts + 1 WHERE ord = (
           SELECT ord FROM works WHERE generator = $generator AND status = 'queued'
           ORDER BY priority DESC, lane, ord LIMIT 1) RETURNING *`,
        { generator },
      );
      if (row === undefined) return undefined;
      const { id: workId, attempts: attempt, spec } = readWork(row);
      run(
        `INSERT INTO attempts (work_id, attempt, generator, started_at) VALUES ($workId, $attempt, $generator, $at)`,
        { workId, attempt, generator, at },
      );
      const waiters = waitersOf(workId);
      for (const render of waiters) change(render, start(render, attempt, at));
      // Only what ended with the process, or was handed back, left a job that goes on by itself.
      const left = one(
        `SELECT remote_id FROM attempts WHERE work_id = $workId AND attempt = $last AND outcome IN ('crashed', 'released')`,
        { workId, last: attempt - 1 },
      );
      return {
        remoteId: typeof left?.remote_id === 'string' ? left.remote_id : undefined,
        workId,
        attempt,
        generator,
        spec,
        waiters: waiters.map(({ id, requestId, timeoutMs, spentMs }) => ({
          renderId: id,
          requestId,
          timeoutMs,
          spentMs,
        })),
      };
    },

    noteRemoteId({ workId, attempt, remoteId }) {
      run('UPDATE attempts SET remote_id = $remoteId WHERE work_id = $workId AND attempt = $attempt', {
        workId,
        attempt,
        remoteId,
      });
    },

    noteCost({ workId, attempt, costUsd, at }) {
      const where = { workId, attempt };
      run('UPDATE attempts SET cost_usd = $costUsd WHERE work_id = $workId AND attempt = $attempt', {
        ...where,
        costUsd,
      });
      const row = one('SELECT * FROM attempts WHERE work_id = $workId AND attempt = $attempt', where);
      const render = firstRenderOf(workId);
      if (row === undefined || render === undefined) return;
      const { generator, endedAt } = readAttempt(row);
      // As long as the attempt goes on, its end will tell.
      if (endedAt === undefined) return;
      const about = { render_id: render.id, request_id: render.requestId };
      log({ type: 'CostKnown', ...about, generator, attempt, cost_usd: costUsd }, at, render);
    },

    settle({ renderId, status, error, at }) {
      const render = renderOf(renderId);
      if (render === undefined) return { settled: false };
      const setter = status === 'failed' ? fail : cancel;
      if (!change(render, setter(render, error, at))) return { settled: false };
      return { settled: true, stoppedWork: abandonWhenIdle(render.workId) };
    },

    finish({ workId, attempt, result, at }) {
      const changes = run(
        `UPDATE works SET status = $status WHERE id = $workId AND status = 'running' AND attempts = $attempt`,
        { status: result.kind, workId, attempt },
      );
      if (changes === 0) return { settled: [] };
      const waiters = waitersOf(workId);
      if (result.kind === 'failed') {
        closeAttempt(workId, attempt, 'failed', at, result.error);
        return {
          settled: waiters.filter((render) => change(render, fail(render, result.error, at))).map(({ id }) => id),
        };
      }
      closeAttempt(workId, attempt, 'succeeded', at);
      for (const { imageId, format, width, height, bytes } of result.images) {
        run(
          `INSERT INTO images (image_id, format, width, height, bytes, created_at, used_at)
           VALUES ($imageId, $format, $width, $height, $bytes, $at, $at)
           ON CONFLICT DO UPDATE SET used_at = excluded.used_at, evicted_at = NULL`,
          { imageId, format, width, height, bytes, at },
        );
      }
      const settled = waiters.filter((render) => change(render, succeed(render, result.images, result, at)));
      for (const { id: renderId } of settled) {
        for (const [idx, { imageId, seed }] of result.images.entries()) {
          run('INSERT INTO render_images (render_id, idx, image_id, seed) VALUES ($renderId, $idx, $imageId, $seed)', {
            renderId,
            idx,
            imageId,
            seed,
          });
        }
      }
      return { settled: settled.map(({ id }) => id) };
    },

    endAttempt({ workId, attempt, outcome, error, at }) {
      closeAttempt(workId, attempt, outcome, at, error);
    },

    release({ workId, attempt, at }) {
      const changes = run(
        `UPDATE works SET status = 'queued' WHERE id = $workId AND status = 'running' AND attempts = $attempt`,
        { workId, attempt },
      );
      // Work that everybody has left meanwhile is nobody's to take up again, but its attempt has ended too.
      const ranMs = closeAttempt(workId, attempt, changes === 0 ? 'cancelled' : 'released', at);
      if (changes === 0) return;
      for (const render of waitersOf(workId)) change(render, handBack(at, render.spentMs + ranMs));
    },

    recover({ crashAttempts, generators, at }) {
      const crashed: PublicError = {
        code: 'crashed',
        message: `The server stopped ${crashAttempts} times while it worked on this render.`,
        retryable: true,
      };
      let requeued = 0;
      let failed = 0;
      // Given-up work may have been running still: its attempt ended with the process as well.
      for (const { work_id: workId, attempt } of all('SELECT work_id, attempt FROM attempts WHERE ended_at IS NULL')) {
        closeAttempt(String(workId), Number(attempt), 'crashed', at);
      }
      for (const { id: workId } of all(`SELECT * FROM works WHERE status = 'running'`).map(readWork)) {
        const crashes = one(`SELECT count(*) AS n FROM attempts WHERE work_id = $workId AND outcome = 'crashed'`, {
          workId,
        });
        const again = Number(crashes?.n) < crashAttempts;
        run('UPDATE works SET status = $status WHERE id = $workId', { workId, status: again ? 'queued' : 'failed' });
        for (const render of waitersOf(workId)) change(render, again ? handBack(at, 0) : fail(render, crashed, at));
        if (again) requeued += 1;
        else failed += 1;
      }
      return { requeued, failed: failed + failUnserved(generators, at) };
    },
  };
}
