import type { PublicError } from '../../errors.ts';
import { cancel, fail, handBack, start, succeed } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { RenderImage, SpentTime, WorkResult } from '../records.ts';
import type { JournalContext, StoredWork } from './context.ts';
import type { StoredRender } from './rows.ts';
import { readWork } from './rows.ts';

type WorkOperations = Pick<
  JournalOperations,
  'claim' | 'beginAttempt' | 'settle' | 'finish' | 'endAttempt' | 'release' | 'fallBack'
>;

/** How work is taken, done, given up and handed on. */
export function createWorkOperations(context: JournalContext): WorkOperations {
  const { run, one, all, change, renderOf, workOf, waitersOf, leave, closeAttempt } = context;

  function openAttempt({ id: workId, attempts: attempt, generator, spec }: StoredWork, at: number, job?: string): void {
    run(
      `INSERT INTO attempts (work_id, attempt, generator, model, started_at, remote_id)
       VALUES ($workId, $attempt, $generator, $model, $at, $job)`,
      { workId, attempt, generator, model: spec.model ?? null, at, job: job ?? null },
    );
  }

  /** A render's first start: how long it waited is told by the clock that does not jump. */
  function noteWait(render: StoredRender, steadyAt: number): StoredRender {
    const { id, startedAt, queueUntil, queueTimeoutMs } = render;
    if (startedAt !== undefined || queueUntil === undefined) return render;
    const queuedMs = Math.max(0, Math.round(queueTimeoutMs - (queueUntil - steadyAt)));
    run('UPDATE renders SET queued_ms = $queuedMs WHERE id = $id', { id, queuedMs });
    return { ...render, queuedMs };
  }

  /** A provider's job that goes on by itself: one that ended with the process, or was handed back. */
  function remoteIdOf(workId: string, attempt: number): string | undefined {
    const row = one(
      `SELECT remote_id FROM attempts WHERE work_id = $workId AND attempt = $attempt AND outcome IN ('crashed', 'released')`,
      { workId, attempt },
    );
    return typeof row?.remote_id === 'string' ? row.remote_id : undefined;
  }

  function hasJob(workId: string, attempt: number): boolean {
    const sql = 'SELECT 1 FROM attempts WHERE work_id = $workId AND attempt = $attempt AND remote_id IS NOT NULL';
    return one(sql, { workId, attempt }) !== undefined;
  }

  function waitsForJob(workId: string): boolean {
    const work = workOf(workId);
    return work !== undefined && remoteIdOf(workId, work.attempts) !== undefined;
  }

  function hasQueued(generator: string): boolean {
    return (
      one(`SELECT 1 FROM works WHERE status = 'queued' AND generator = $generator LIMIT 1`, { generator }) !== undefined
    );
  }

  function failuresOf(workId: string): Record<string, number> {
    const rows = all(
      `SELECT generator || coalesce('/' || model, '') AS name, count(*) AS n FROM attempts
       WHERE work_id = $workId AND outcome IN ('failed', 'unknown') GROUP BY name`,
      { workId },
    );
    return Object.fromEntries(rows.map(({ name, n }) => [String(name), Number(n)]));
  }

  /** Makes the change if the work is still this attempt's. */
  function takeFrom(workId: string, attempt: number, status: string): boolean {
    return (
      run(`UPDATE works SET status = $status WHERE id = $workId AND status = 'running' AND attempts = $attempt`, {
        status,
        workId,
        attempt,
      }) > 0
    );
  }

  /** Files that are in the store are the index's to give up, whatever became of their work. */
  function keepImages(workId: string, images: readonly RenderImage[], counts: boolean, at: number): void {
    for (const [idx, { imageId, format, width, height, bytes, seed }] of images.entries()) {
      run(
        `INSERT INTO images (image_id, format, width, height, bytes, created_at, used_at)
         VALUES ($imageId, $format, $width, $height, $bytes, $at, $at)
         ON CONFLICT DO UPDATE SET used_at = excluded.used_at, evicted_at = NULL`,
        { imageId, format, width, height, bytes, at },
      );
      // It is wanted again, and a start must not remove it.
      run(`DELETE FROM doomed WHERE kind = 'image' AND image_id = $imageId`, { imageId });
      if (!counts) continue;
      run('INSERT INTO work_images (work_id, idx, image_id, seed) VALUES ($workId, $idx, $imageId, $seed)', {
        ...{ workId, idx, imageId, seed },
      });
    }
  }

  function settleAll(workId: string, result: WorkResult, at: number): string[] {
    const change_ = (render: StoredRender) => {
      if (result.kind === 'failed') return change(render, fail(render, result.error, at));
      if (result.kind === 'succeeded') return change(render, succeed(render, result.images, result, at));
      if (!render.fallback) return change(render, fail(render, result.error, at));
      const passed = passTo(render, result.by);
      return change(passed, succeed(passed, result.images, { renderMs: 0, storeMs: 0 }, at));
    };
    return waitersOf(workId)
      .filter(change_)
      .map(({ id }) => id);
  }

  /** Back to the queue, with what it has used of its time, which does not go on there. */
  function handBackAfter(render: StoredRender, spentMs: number, at: number): void {
    change(render, handBack(at, spentMs));
    run('UPDATE renders SET queue_until = NULL WHERE id = $id', { id: render.id });
  }

  /** From now on the render is another generator's. */
  function passTo(render: StoredRender, generator: string, ignored: readonly string[] = []): StoredRender {
    const fallbackFrom = render.fallbackFrom ?? render.generator;
    // A seed that nobody asked for is no loss.
    const lost = ignored.filter((field) => field !== 'seed' || render.request.seed !== undefined);
    const all = [...new Set([...render.ignored, ...lost])];
    run('UPDATE renders SET generator = $generator, fallback_from = $fallbackFrom, ignored = $ignored WHERE id = $id', {
      id: render.id,
      generator,
      fallbackFrom,
      ignored: JSON.stringify(all),
    });
    return { ...render, generator, fallbackFrom, ignored: all };
  }

  return {
    claim({ generator, at, steadyAt }) {
      const row = one(
        `UPDATE works SET status = 'running', attempts = attempts + 1 WHERE ord = (
           SELECT ord FROM works WHERE generator = $generator AND status = 'queued'
             AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'paused')
           ORDER BY priority DESC, lane, ord LIMIT 1) RETURNING *`,
        { generator },
      );
      if (row === undefined) return undefined;
      const work = readWork(row);
      const { id: workId, attempts: attempt, spec, cache_key } = work;
      // From now on it is this attempt's, lest it be forgotten when the process dies before the generator takes it up.
      const remoteId = remoteIdOf(workId, attempt - 1);
      openAttempt(work, at, remoteId);
      const waiters = waitersOf(workId);
      for (const render of waiters) change(render, start(noteWait(render, steadyAt), attempt, at));
      return {
        workId,
        attempt,
        generator,
        spec,
        remoteId,
        shared: cache_key !== null,
        more: hasQueued(generator),
        failures: failuresOf(workId),
        waiters: waiters.map((render) => ({
          renderId: render.id,
          requestId: render.requestId,
          timeoutMs: render.timeoutMs,
          spentMs: spentWaiting(render, steadyAt),
          fallback: render.fallback,
        })),
      };
    },

    beginAttempt({ workId, attempt, at }) {
      const row = one(
        `UPDATE works SET attempts = attempts + 1 WHERE id = $workId AND status = 'running' AND attempts = $attempt
         RETURNING *`,
        { workId, attempt },
      );
      if (row === undefined) return undefined;
      const work = readWork(row);
      openAttempt(work, at);
      return work.attempts;
    },

    settle({ renderId, status, error, at }) {
      const render = renderOf(renderId);
      if (render === undefined) return { settled: false };
      const setter = status === 'failed' ? fail : cancel;
      if (!change(render, setter(render, error, at))) return { settled: false };
      const stoppedWork = leave(render.workId);
      const leftJob = stoppedWork !== undefined && waitsForJob(stoppedWork);
      return { settled: true, stoppedWork, ...(leftJob ? { leftJob } : {}) };
    },

    finish({ workId, attempt, result, ranMs, at, steadyAt = at }) {
      const counts = takeFrom(workId, attempt, result.kind === 'failed' ? 'failed' : 'succeeded');
      if (result.kind !== 'failed') keepImages(workId, result.images, counts, steadyAt);
      if (!counts) return { settled: [] };
      if (result.kind === 'succeeded') {
        closeAttempt(workId, attempt, at, { outcome: 'succeeded', ranMs });
      } else {
        const { error, outcome = 'failed' } = result;
        const fallbackTo = result.kind === 'substituted' ? result.by : undefined;
        closeAttempt(workId, attempt, at, { outcome, error, ranMs, fallbackTo });
        // What stands in for its images must not answer equal requests later.
        if (fallbackTo !== undefined) run('UPDATE works SET cache_key = NULL WHERE id = $workId', { workId });
      }
      return { settled: settleAll(workId, result, at) };
    },

    endAttempt({ workId, attempt, outcome, error, ranMs, at }) {
      closeAttempt(workId, attempt, at, { outcome, error, ranMs });
    },

    release({ workId, attempt, ranMs, spent, at }) {
      const counts = takeFrom(workId, attempt, 'queued');
      // Work that everybody has left meanwhile is nobody's to take up again, but its attempt has ended too; and its job,
      // which was left for the next start, goes on.
      const otherwise = hasJob(workId, attempt) ? 'detached' : 'cancelled';
      const took = closeAttempt(workId, attempt, at, { outcome: counts ? 'released' : otherwise, ranMs });
      if (!counts) return;
      for (const render of waitersOf(workId)) handBackAfter(render, spentBy(render, took, spent), at);
    },

    fallBack({ workId, attempt, to, error, outcome, ranMs, spent, at, steadyAt }) {
      const mayPass = waitersOf(workId).some(({ fallback }) => fallback);
      if (!mayPass || !takeFrom(workId, attempt, 'queued')) return { passed: false };
      const took = closeAttempt(workId, attempt, at, { outcome, error, ranMs, fallbackTo: to.generator });
      run('UPDATE works SET generator = $generator, spec = $spec, cache_key = unhex($cacheKey) WHERE id = $workId', {
        workId,
        generator: to.generator,
        spec: JSON.stringify(to.spec),
        cacheKey: to.cacheKey ?? null,
      });
      for (const render of waitersOf(workId)) {
        if (render.fallback) {
          const spentMs = spentBy(render, took, spent);
          handBackAfter(passTo(render, to.generator, to.ignored), spentMs, at);
          // Its time goes on while it waits for the other one.
          run('UPDATE renders SET queue_until = $until WHERE id = $id', {
            id: render.id,
            until: Math.round(steadyAt + render.timeoutMs - spentMs),
          });
        } else {
          change(render, fail(render, error, at));
        }
      }
      leave(workId);
      return { passed: true };
    },
  };
}

/** How much of its time a render has used at the end of an attempt that took so long. */
function spentBy({ id, spentMs }: StoredRender, tookMs: number, measured: readonly SpentTime[] = []): number {
  return Math.round(measured.find(({ renderId }) => renderId === id)?.spentMs ?? spentMs + tookMs);
}

/** How much of its time a render has used by now, also while it waited for a fallback. */
function spentWaiting({ startedAt, queueUntil, timeoutMs, spentMs }: StoredRender, steadyAt: number): number {
  return startedAt === undefined || queueUntil === undefined ? spentMs : timeoutMs - (queueUntil - steadyAt);
}

/** How a render fails for which the server can do nothing more. */
export function failing(code: PublicError['code'], message: string): PublicError {
  return { code, message, retryable: true };
}
