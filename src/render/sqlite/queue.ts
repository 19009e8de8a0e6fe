import { cancel, fail } from '../job.ts';
import type { JournalOperations } from '../journal.ts';
import type { Caller } from '../records.ts';
import type { JournalContext } from './context.ts';
import type { Row, StoredRender } from './rows.ts';
import { readRender } from './rows.ts';

/** Events about no render belong to the server itself. */
export const SERVER: Caller = { owner: 'server', door: 'rest' };

type QueueOperations = Pick<
  JournalOperations,
  'expireQueued' | 'clearQueue' | 'supersedeStale' | 'setPaused' | 'isPaused' | 'queueStats'
>;

/** Renders that wait, found among the active ones: those that are over are many, and there is no need to see them. */
const WAITING = `renders INDEXED BY renders_active WHERE status IN ('queued', 'running') AND status = 'queued'`;

/** What happens to renders while they wait. */
export function createQueueOperations(context: JournalContext): QueueOperations {
  const { run, one, all, log, change, leave } = context;

  /** Ends renders that wait; what nobody waits for any more is given up with them, before it can be claimed. */
  function endAll(rows: readonly Row[], end: (render: StoredRender) => boolean): number {
    const ended = rows.map(readRender).filter(end);
    for (const workId of new Set(ended.map((render) => render.workId))) leave(workId);
    return ended.length;
  }

  return {
    expireQueued({ unstarted, started, at, steadyAt }) {
      const late = all(`SELECT * FROM ${WAITING} AND queue_until <= $steadyAt ORDER BY ord`, { steadyAt });
      const expired = endAll(late, (render) =>
        change(render, fail(render, render.startedAt === undefined ? unstarted : started, at)),
      );
      const next = one(`SELECT min(queue_until) AS at FROM ${WAITING}`);
      return { expired, nextAt: typeof next?.at === 'number' ? next.at : undefined };
    },

    clearQueue({ generator, error, at }) {
      const waiting = all(`SELECT * FROM ${WAITING} AND generator = coalesce($generator, generator) ORDER BY ord`, {
        generator: generator ?? null,
      });
      const cancelled = endAll(waiting, (render) => change(render, cancel(render, error, at)));
      log({ type: 'QueueCleared', cancelled, ...(generator === undefined ? {} : { generator }) }, at, SERVER);
      return { cancelled };
    },

    supersedeStale({ owner, door, era, biome, error, at }) {
      const stale = all(
        `SELECT * FROM ${WAITING} AND owner = $owner AND door = $door AND (era IS NOT $era OR biome IS NOT $biome)
           AND EXISTS (SELECT 1 FROM renders AS newer NOT INDEXED
             WHERE newer.ord > renders.ord AND newer.owner = $owner AND newer.door = $door) ORDER BY ord`,
        { owner, door, era, biome },
      );
      return { cancelled: endAll(stale, (render) => change(render, cancel(render, error, at))) };
    },

    setPaused({ paused, at }) {
      const changed = paused
        ? run(`INSERT INTO meta (key, value) VALUES ('paused', $at) ON CONFLICT DO NOTHING`, { at: String(at) })
        : run(`DELETE FROM meta WHERE key = 'paused'`);
      if (changed === 0) return;
      const queued = Number(one('SELECT coalesce(sum(queued), 0) AS n FROM queue_counts')?.n);
      log({ type: paused ? 'QueuePaused' : 'QueueResumed', queued }, at, SERVER);
    },

    isPaused: () => one(`SELECT 1 FROM meta WHERE key = 'paused'`) !== undefined,

    queueStats() {
      const rows = all(
        `SELECT generator, sum(queued) AS queued, sum(1 - queued) AS running,
           min(CASE WHEN queued THEN created_at END) AS oldest
         FROM (SELECT generator, 1 AS queued, created_at FROM works WHERE status = 'queued'
           UNION ALL SELECT generator, 0, created_at FROM works WHERE status = 'running')
         GROUP BY generator`,
      );
      return rows.map(({ generator, queued, running, oldest }) => ({
        generator: String(generator),
        queued: Number(queued),
        running: Number(running),
        oldestAt: oldest === null ? undefined : Number(oldest),
      }));
    },
  };
}
