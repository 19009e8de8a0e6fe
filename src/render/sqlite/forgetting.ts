import { z } from 'zod';
import type { JournalOperations } from '../journal.ts';
import { createCalls } from './calls.ts';
import type { JournalContext } from './context.ts';
import { createSearch } from './search.ts';

/** Renders that one call looks at, so that others get their turn between. */
const MOST_AT_ONCE = 500;

/** Events that go in one call: some of each render. */
const MOST_EVENTS = 10 * MOST_AT_ONCE;

/** The events that end a render, in the very words of their index. */
const ENDS = `'ImageReady', 'RenderFailed', 'RenderCancelled'`;

const placeRow = z.object({ ord: z.int(), seq: z.int() });

/** A place in the order of acceptance, and one among the events. */
type Place = z.infer<typeof placeRow>;

/** What is forgotten of that which is over. */
export function createForgetting(
  context: JournalContext,
): Pick<JournalOperations, 'noteTime' | 'latestTime' | 'forget'> {
  const { run, one, all } = context;
  const calls = createCalls(context);
  const search = createSearch(context);

  /** How far the journal was at the last note before then: not by the times in it, between which the clock may have jumped. */
  function placeBefore(time: number): Place {
    const row = one('SELECT at, ord, seq FROM times WHERE at < $time ORDER BY at DESC LIMIT 1', { time });
    if (row === undefined) return { ord: 0, seq: 0 };
    run('DELETE FROM times WHERE at < $at', { at: Number(row.at) });
    return placeRow.parse(row);
  }

  /** Renders that ended before, oldest first, with the work that nobody else has. */
  function forgetRenders({ ord: last, seq }: Place, after: number): ReturnType<JournalOperations['forget']> {
    const looked = all(
      `SELECT ord, id, work_id, finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM events
           WHERE render_id = renders.id AND type IN (${ENDS}) AND seq > $seq) AS old
         FROM renders WHERE ord > $after AND ord <= $last ORDER BY ord LIMIT ${MOST_AT_ONCE}`,
      { after, last, seq },
    );
    const old = looked.filter((row) => row.old === 1);
    for (const { id = null, work_id: workId = null } of old) {
      run('DELETE FROM renders WHERE id = $id', { id });
      if (one('SELECT 1 FROM renders WHERE work_id = $workId', { workId }) !== undefined) continue;
      for (const table of ['attempts', 'work_inputs', 'work_images']) {
        run(`DELETE FROM ${table} WHERE work_id = $workId`, { workId });
      }
      run('DELETE FROM works WHERE id = $workId', { workId });
    }
    if (old.length > 0) search.forget(old.map(({ ord }) => Number(ord)));
    const next = looked.length === MOST_AT_ONCE ? Number(looked.at(-1)?.ord) : undefined;
    return { renders: old.length, ...(next === undefined ? {} : { next }) };
  }

  return {
    noteTime({ at }) {
      run(
        `INSERT OR REPLACE INTO times (at, ord, seq)
           SELECT $at, (SELECT coalesce(max(ord), 0) FROM renders), (SELECT coalesce(max(seq), 0) FROM events)`,
        { at },
      );
    },

    latestTime() {
      const row = one(
        `SELECT max((SELECT coalesce(max(at), 0) FROM times), (SELECT coalesce(max(at), 0) FROM idempotency_keys),
           (SELECT coalesce(max(used_at), 0) FROM images WHERE evicted_at IS NULL),
           (SELECT coalesce(max(used_at), 0) FROM inputs)) AS at`,
      );
      return Number(row?.at);
    },

    forget({ endedBefore: before, at, after = 0 }) {
      calls.forget(at);
      const place = placeBefore(before);
      const forgotten = forgetRenders(place, after);
      // Their events are older than their ends.
      run(
        `DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= $seq ORDER BY seq LIMIT ${MOST_EVENTS})`,
        {
          seq: place.seq,
        },
      );
      run(
        `DELETE FROM images WHERE image_id IN (SELECT image_id FROM images WHERE evicted_at < $before
           AND NOT EXISTS (SELECT 1 FROM work_images WHERE work_images.image_id = images.image_id)
           LIMIT ${MOST_AT_ONCE})`,
        { before },
      );
      return forgotten;
    },
  };
}
