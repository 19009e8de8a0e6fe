import type { PublicError } from '../../errors.ts';
import { cancel, start, succeed } from '../job.ts';
import type { NewRender, RenderRecord, Taken } from '../records.ts';
import { bodyHashOf } from '../resolve.ts';
import { createCalls } from './calls.ts';
import type { JournalContext, StoredWork } from './context.ts';
import { createInserts, LANES } from './inserts.ts';
import type { NewlyTaken, ThreadOperations } from './protocol.ts';
import type { StoredRender } from './rows.ts';
import { readRender } from './rows.ts';
import { createSharing } from './sharing.ts';

const SUPERSEDED: PublicError = {
  code: 'superseded',
  message: 'A newer request with clear_queue took its place.',
  retryable: false,
};

type AcceptOperations = Pick<ThreadOperations, 'accept' | 'findCall' | 'findShared'>;

/** How renders come in. */
export function createAccept(context: JournalContext): AcceptOperations {
  const { one, all, change, complete, leave, place } = context;
  const calls = createCalls(context);
  const sharing = createSharing(context);
  const { noteInputs, insertWork, insertRender } = createInserts(context);

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
