import type { PublicError } from '../../errors.ts';
import type { CacheUse } from '../../messages/outputs.ts';
import { cancel, queuedEvent, start, succeed } from '../job.ts';
import type { NewRender, RenderRecord, Taken } from '../records.ts';
import { bodyHashOf } from '../resolve.ts';
import { createCalls } from './calls.ts';
import type { JournalContext, StoredWork } from './context.ts';
import type { NewlyTaken, ThreadOperations } from './protocol.ts';
import type { StoredRender } from './rows.ts';
import { readRender } from './rows.ts';
import { createSharing } from './sharing.ts';

/** Lower runs first among equal priorities: the visitor at the bowl never waits behind a batch. */
const LANES = { bus: 0, rest: 1 } as const;

const SUPERSEDED: PublicError = {
  code: 'superseded',
  message: 'A newer request with clear_queue took its place.',
  retryable: false,
};

type AcceptOperations = Pick<ThreadOperations, 'accept' | 'findCall' | 'findShared'>;

/** How renders come in. */
export function createAccept(context: JournalContext): AcceptOperations {
  const { run, one, all, log, change, complete, leave, place } = context;
  const calls = createCalls(context);
  const sharing = createSharing(context);

  /** Whatever becomes of the request: the files are there, and nobody else would ever give them up. */
  function noteInputs({ inputs, steadyAt: at }: NewRender): void {
    for (const { imageId, bytes } of inputs) {
      run(
        `INSERT INTO inputs (image_id, bytes, used_at) VALUES ($imageId, $bytes, $at)
         ON CONFLICT DO UPDATE SET used_at = excluded.used_at`,
        { imageId, bytes, at },
      );
      // It is wanted again, and a start must not remove it.
      run(`DELETE FROM doomed WHERE kind = 'input' AND image_id = $imageId`, { imageId });
    }
  }

  function findKnown({ id, owner, requestId }: NewRender): StoredRender | undefined {
    // The caller gave it no name, and nobody has ever heard of ours.
    if (requestId === id) return undefined;
    const row = one('SELECT * FROM renders WHERE owner = $owner AND request_id = $requestId', {
      owner,
      requestId: JSON.stringify(requestId),
    });
    return row && readRender(row);
  }

  /** How many works wait, and how many of them would run before a new one of this kind. */
  function lookAtQueue({ generator, priority, door }: NewRender): QueueLook {
    const counts = one(
      `SELECT sum(queued) AS queued, sum(queued) FILTER (WHERE generator = $generator AND
         (priority > $priority OR (priority = $priority AND lane <= $lane))) AS ahead FROM queue_counts`,
      { generator, priority, lane: LANES[door] },
    );
    return { queued: Number(counts?.queued ?? 0), ahead: Number(counts?.ahead ?? 0) };
  }

  /** What callers' newer requests make superfluous. */
  function olderThan(renders: readonly NewRender[]): StoredRender[] {
    const older = renders
      .filter(({ clearQueue }) => clearQueue)
      .flatMap(({ generator, owner, door }) =>
        all(
          `SELECT * FROM renders WHERE generator = $generator AND owner = $owner AND door = $door
             AND status IN ('queued', 'running') ORDER BY ord`,
          { generator, owner, door },
        ).map(readRender),
      );
    return [...new Map(older.map((render) => [render.id, render])).values()];
  }

  function countQueued(generator: string, priority: number, lane: number): void {
    run(
      `INSERT INTO queue_counts (generator, priority, lane, queued) VALUES ($generator, $priority, $lane, 1)
       ON CONFLICT DO UPDATE SET queued = queued + 1`,
      { generator, priority, lane },
    );
  }

  function insertWork({ workId, generator, priority, door, spec, cacheKey, steadyAt }: NewRender): void {
    run(
      `INSERT INTO works (id, generator, status, priority, lane, spec, cache_key, created_at)
       VALUES ($workId, $generator, 'queued', $priority, $lane, $spec, unhex($cacheKey), $at)`,
      {
        workId,
        generator,
        priority,
        lane: LANES[door],
        spec: JSON.stringify(spec),
        cacheKey: cacheKey ?? null,
        at: steadyAt,
      },
    );
    countQueued(generator, priority, LANES[door]);
    for (const role of ['referenceImage', 'depthMap', 'mask'] as const) {
      const imageId = spec[role];
      if (imageId === undefined) continue;
      run('INSERT INTO work_inputs (work_id, role, image_id) VALUES ($workId, $role, $imageId)', {
        workId,
        role,
        imageId,
      });
    }
  }

  function insertRender(render: NewRender, workId: string, cache: CacheUse): void {
    const {
      id,
      owner,
      door,
      bodyHash,
      generator,
      priority,
      timeoutMs,
      queueTimeoutMs,
      queueUntil,
      createdAt: at,
    } = render;
    const { era, biome } = render.request;
    run(
      `INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms,
         queue_timeout_ms, queue_until, fallback, cached, batch_id, era, biome, request, ignored, created_at)
       VALUES ($id, $owner, $door, $requestId, $bodyHash, $workId, 'queued', $generator, $priority, $timeoutMs,
         $queueTimeoutMs, $queueUntil, $fallback, $cached, $batchId, $era, $biome, $request, $ignored, $at)`,
      {
        ...{
          id,
          owner,
          door,
          bodyHash: bodyHash ?? '',
          workId,
          generator,
          priority,
          timeoutMs,
          queueTimeoutMs,
          queueUntil,
          at,
        },
        requestId: JSON.stringify(render.requestId),
        fallback: Number(render.fallback),
        cached: Number(cache === 'hit'),
        batchId: render.batchId ?? null,
        era: era ?? null,
        biome: biome ?? null,
        request: JSON.stringify(render.request),
        ignored: JSON.stringify(render.ignored),
      },
    );
    log(queuedEvent(render, priority, render.spec.numImages, cache), at, render);
  }

  function insertNew(render: NewRender, { ahead }: QueueLook): NewlyTaken {
    insertWork(render);
    const cache = render.cacheKey !== undefined && render.useCache ? 'miss' : 'bypass';
    insertRender(render, render.workId, cache);
    return { kind: 'new', cache, queuePosition: ahead + 1 };
  }

  /** The stored images answer at once. */
  function insertHit(render: NewRender, work: StoredWork): Taken {
    const at = render.createdAt;
    const images = sharing.use(work.id, render.steadyAt);
    insertRender(render, work.id, 'hit');
    change(render, succeed(render, images, { renderMs: 0, storeMs: 0, cached: true }, at));
    return { kind: 'accepted', cache: 'hit', render: reread(render) };
  }

  /** One more waits for work that waits or runs already. */
  function insertJoined(render: NewRender, work: StoredWork): Taken {
    insertRender(render, work.id, 'joined');
    if (work.status === 'running') change(render, start(render, work.attempts, render.createdAt));
    const { priority } = render;
    place(work.id, Math.max(priority, work.priority), Math.min(LANES[render.door], work.lane));
    return { kind: 'accepted', cache: 'joined', render: reread(render) };
  }

  function reread({ id }: NewRender): RenderRecord {
    const row = one('SELECT * FROM renders WHERE id = $id', { id });
    if (row === undefined) throw new Error('a render that was inserted is not there');
    return complete(readRender(row));
  }

  /** `look`: what was seen of the queue, if nothing has changed since. */
  function take(render: NewRender, look: QueueLook | undefined): NewlyTaken {
    const known = findKnown(render);
    if (known !== undefined) return { kind: 'known', render: complete(known) };
    const shared = render.useCache ? sharing.find(render.cacheKey) : undefined;
    if (shared === undefined) return insertNew(render, look ?? lookAtQueue(render));
    return shared.status === 'succeeded' ? insertHit(render, shared) : insertJoined(render, shared);
  }

  function countWaiting(workId: string): number {
    const row = one(`SELECT count(*) AS n FROM renders WHERE work_id = $workId AND status IN ('queued', 'running')`, {
      workId,
    });
    return Number(row?.n);
  }

  /** Whether the renders fit in the queue once `older` ones are gone; else how many wait. */
  function tooMany(
    renders: readonly NewRender[],
    older: readonly StoredRender[],
    { queued: queuedBefore }: QueueLook,
    maxQueued: number,
  ): number | undefined {
    const staying = (workId: string) =>
      countWaiting(workId) - older.filter((render) => render.workId === workId).length;
    const queuedWorks = older.filter(({ status }) => status === 'queued').map(({ workId }) => workId);
    const leaving = new Set(queuedWorks.filter((workId) => staying(workId) === 0));
    let added = 0;
    let crowded = false;
    for (const render of renders) {
      const shared = render.useCache ? sharing.find(render.cacheKey) : undefined;
      if (shared === undefined) added += 1;
      if (shared === undefined || shared.status === 'succeeded') continue;
      // Those who join take no place in the queue, but they must be bounded as well.
      crowded ||= staying(shared.id) >= maxQueued;
      leaving.delete(shared.id);
    }
    const queued = queuedBefore - leaving.size;
    return crowded || (added > 0 && queued + added > maxQueued) ? queued : undefined;
  }

  const isSame = (known: StoredRender, render: NewRender) => bodyHashOf(known) === bodyHashOf(render);

  const idsOf = (taken: readonly NewlyTaken[], renders: readonly NewRender[]) =>
    renders.map(({ id }, index) => {
      const one = taken[index];
      return one?.kind === 'known' ? one.render.id : id;
    });

  return {
    accept({ renders, idempotency, maxQueued }) {
      for (const render of renders) noteInputs(render);
      const [first] = renders;
      const earlier = first && idempotency && calls.find(first.owner, idempotency.key, first.steadyAt);
      if (earlier !== undefined) {
        if (earlier.bodyHash !== idempotency?.bodyHash) return { kind: 'conflict', on: 'idempotency_key', index: 0 };
        return {
          kind: 'taken',
          stoppedWork: [],
          renders: earlier.renders.map((render) => ({ kind: 'known', render })),
        };
      }
      const known = renders.map(findKnown);
      const index = renders.findIndex((render, at) => known[at] !== undefined && !isSame(known[at], render));
      if (index !== -1) return { kind: 'conflict', on: 'request_id', index };
      const unknown = renders.filter((_, at) => known[at] === undefined);
      const older = olderThan(unknown);
      const look = first === undefined ? EMPTY : lookAtQueue(first);
      const queued = tooMany(unknown, older, look, maxQueued);
      if (queued !== undefined) return { kind: 'full', queued };

      for (const render of older) change(render, cancel(render, SUPERSEDED, first?.createdAt ?? 0));
      const alone = renders.length === 1 && older.length === 0;
      const taken = renders.map((render) => take(render, alone ? look : undefined));
      // Only now: equal work of an older render may have been joined, and then goes on.
      const stoppedWork = [...new Set(older.map(({ workId }) => workId))].map(leave).filter((id) => id !== undefined);
      if (first !== undefined && idempotency !== undefined) {
        calls.note(first.owner, idempotency, idsOf(taken, renders), first.steadyAt);
      }
      return { kind: 'taken', renders: taken, stoppedWork };
    },

    findCall: ({ owner, key, at }) => calls.find(owner, key, at),

    findShared: ({ cacheKey }) => sharing.images(cacheKey),
  };
}

/** How many works wait, and how many of them would run before a new one. */
interface QueueLook {
  readonly queued: number;
  readonly ahead: number;
}

const EMPTY: QueueLook = { queued: 0, ahead: 0 };
