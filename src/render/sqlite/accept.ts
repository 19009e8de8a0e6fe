import type { PublicError } from '../../errors.ts';
import { queuedEvent } from '../job.ts';
import type { JournalOperations, NewRender, RenderRecord } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readRender } from './rows.ts';

/** Lower runs first among equal priorities: the visitor at the bowl never waits behind a batch. */
const LANES = { bus: 0, rest: 1 } as const;

const SUPERSEDED: PublicError = {
  code: 'superseded',
  message: 'A newer request with clear_queue took its place.',
  retryable: false,
};

/** How a render comes in. `settle` ends the ones that it supersedes. */
export function createAccept(
  { run, one, all, log, complete }: JournalContext,
  settle: JournalOperations['settle'],
): Pick<JournalOperations, 'accept'> {
  /** How many works wait, and how many of them would run before a new one of this kind. */
  function lookAtQueue({ generator, priority, door }: NewRender): { queued: number; ahead: number } {
    const counts = one(
      `SELECT sum(queued) AS queued, sum(queued) FILTER (WHERE generator = $generator AND
         (priority > $priority OR (priority = $priority AND lane <= $lane))) AS ahead FROM queue_counts`,
      { generator, priority, lane: LANES[door] },
    );
    return { queued: Number(counts?.queued ?? 0), ahead: Number(counts?.ahead ?? 0) };
  }

  function insert(render: NewRender): void {
    const { id, owner, door, requestId, bodyHash, workId, generator, priority, timeoutMs, spec } = render;
    const at = render.createdAt;
    run(
      `INSERT INTO works (id, generator, status, priority, lane, spec, created_at)
       VALUES ($workId, $generator, 'queued', $priority, $lane, $spec, $at)`,
      { workId, generator, priority, lane: LANES[door], spec: JSON.stringify(spec), at },
    );
    for (const role of ['referenceImage', 'depthMap', 'mask'] as const) {
      const imageId = spec[role];
      if (imageId === undefined) continue;
      run('INSERT INTO work_inputs (work_id, role, image_id) VALUES ($workId, $role, $imageId)', {
        workId,
        role,
        imageId,
      });
    }
    run(
      `INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms,
         request, ignored, created_at)
       VALUES ($id, $owner, $door, $requestId, $bodyHash, $workId, 'queued', $generator, $priority, $timeoutMs,
         $request, $ignored, $at)`,
      {
        id,
        owner,
        door,
        requestId: JSON.stringify(requestId),
        bodyHash,
        workId,
        generator,
        priority,
        timeoutMs,
        request: JSON.stringify(render.request),
        ignored: JSON.stringify(render.ignored),
        at,
      },
    );
    log(queuedEvent(render, priority, spec.numImages), at, render);
  }

  /** Whatever becomes of the request: the files are there, and nobody else would ever give them up. */
  function noteInputs({ inputs, createdAt: at }: NewRender): void {
    for (const { imageId, bytes } of inputs) {
      run(
        `INSERT INTO inputs (image_id, bytes, used_at) VALUES ($imageId, $bytes, $at)
         ON CONFLICT DO UPDATE SET used_at = excluded.used_at`,
        { imageId, bytes, at },
      );
    }
  }

  /** What a caller's newer request makes superfluous. */
  function activeOf({ generator, owner, door }: NewRender) {
    return all(
      `SELECT * FROM renders WHERE generator = $generator AND owner = $owner AND door = $door
         AND status IN ('queued', 'running') ORDER BY ord`,
      { generator, owner, door },
    ).map(readRender);
  }

  return {
    accept({ render, maxQueued }) {
      noteInputs(render);
      const known = one('SELECT * FROM renders WHERE owner = $owner AND request_id = $requestId', {
        owner: render.owner,
        requestId: JSON.stringify(render.requestId),
      });
      if (known !== undefined) {
        const earlier = readRender(known);
        if (earlier.bodyHash !== render.bodyHash) return { kind: 'conflict' };
        return { kind: 'known', render: complete(earlier) };
      }
      const older = render.clearQueue ? activeOf(render) : [];
      const before = lookAtQueue(render);
      const queued = before.queued - older.filter(({ status }) => status === 'queued').length;
      if (queued >= maxQueued) return { kind: 'full', queued };

      const at = render.createdAt;
      const stopped = older.map(
        ({ id }) => settle({ renderId: id, status: 'cancelled', error: SUPERSEDED, at }).stoppedWork,
      );
      const { ahead } = older.length === 0 ? before : lookAtQueue(render);
      insert(render);
      const { spec: _, clearQueue: _c, inputs: _i, ...same } = render;
      const accepted: RenderRecord = {
        ...same,
        spentMs: 0,
        status: 'queued',
        attempts: [],
        images: [],
        queuePosition: ahead + 1,
      };
      return { kind: 'accepted', render: accepted, stoppedWork: stopped.filter((id) => id !== undefined) };
    },
  };
}
