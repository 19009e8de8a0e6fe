import type { PublicError } from '../../errors.ts';
import { cancel, fail, handBack, start, succeed } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readWork } from './rows.ts';

type WorkOperations = Pick<
  JournalOperations,
  'claim' | 'noteRemoteId' | 'settle' | 'finish' | 'endAttempt' | 'release' | 'recover'
>;

/** How work is taken, done, given up and taken up again. */
export function createWorkOperations(context: JournalContext): WorkOperations {
  const { run, one, all, change, renderOf, waitersOf, abandonWhenIdle, closeAttempt } = context;

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
      return {
        workId,
        attempt,
        generator,
        spec,
        waiters: waiters.map(({ id, requestId, startedAt = at, timeoutMs }) => ({
          renderId: id,
          requestId,
          startedAt,
          timeoutMs,
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
          `INSERT INTO images (image_id, format, width, height, bytes, created_at)
           VALUES ($imageId, $format, $width, $height, $bytes, $at) ON CONFLICT DO NOTHING`,
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
      closeAttempt(workId, attempt, changes === 0 ? 'cancelled' : 'released', at);
      if (changes === 0) return;
      for (const render of waitersOf(workId)) change(render, handBack(at, false));
    },

    recover({ crashAttempts, at }) {
      const error: PublicError = {
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
        for (const render of waitersOf(workId)) change(render, again ? handBack(at, true) : fail(render, error, at));
        if (again) requeued += 1;
        else failed += 1;
      }
      return { requeued, failed };
    },
  };
}
