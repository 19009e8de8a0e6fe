import type { DatabaseSync } from 'node:sqlite';
import type { PublicError } from '../../errors.ts';
import type { NewEvent } from '../../messages/events.ts';
import type { AttemptOutcome } from '../../messages/outputs.ts';
import type { StatusChange } from '../job.ts';
import { REACHED_FROM } from '../job.ts';
import type { AttemptRecord, Caller, LoggedEvent, RenderRecord } from '../records.ts';
import type { Row, StoredRender } from './rows.ts';
import { numbered, readAttempt, readRender, readRenderImage, readWork } from './rows.ts';
import type { Statement, Values } from './statement.ts';
import { prepare } from './statement.ts';

/** A row of `works`. */
export type StoredWork = ReturnType<typeof readWork>;
/** The steps that the journal's operations share. */
export type JournalContext = ReturnType<typeof createContext>;

/**
 * The steps that the journal's operations share, on one open database and inside a transaction. Each event that is
 * logged is also pushed to `written`, to be sent once the transaction is durable.
 */
export function createContext(database: DatabaseSync, written: LoggedEvent[]) {
  const statements = new Map<string, Statement>();
  const statement = (sql: string): Statement => {
    const known = statements.get(sql) ?? prepare(database, sql);
    statements.set(sql, known);
    return known;
  };
  const run = (sql: string, values: Values = {}) => Number(statement(sql).run(values).changes);
  const one = (sql: string, values: Values = {}): Row | undefined => statement(sql).get(values);
  const all = (sql: string, values: Values = {}): Row[] => statement(sql).all(values);

  function log(event: NewEvent, at: number, { owner, door }: Caller): void {
    const renderId = 'render_id' in event ? event.render_id : null;
    const { lastInsertRowid } = statement(
      'INSERT INTO events (at, type, owner, door, render_id, body) VALUES ($at, $type, $owner, $door, $renderId, $body)',
    ).run({ at, type: event.type, owner, door, renderId, body: JSON.stringify(event) });
    written.push({ owner, door, event: numbered(event, Number(lastInsertRowid), at) });
  }

  /** The compare-and-set behind every change of a render's status. */
  function change(render: Pick<RenderRecord, 'id' | 'owner' | 'door'>, to: StatusChange): boolean {
    const from = REACHED_FROM[to.to].map((status) => `'${status}'`).join(', ');
    const changes = run(
      `UPDATE renders SET status = $status,
         started_at = CASE WHEN $status = 'running' THEN coalesce(started_at, $at) ELSE started_at END,
         spent_ms = coalesce($spentMs, spent_ms),
         finished_at = CASE WHEN $status IN ('succeeded', 'failed', 'cancelled') THEN $at END,
         error = $error, timings = $timings
       WHERE id = $id AND status IN (${from})`,
      {
        id: render.id,
        status: to.to,
        at: to.at,
        spentMs: to.spentMs ?? null,
        error: to.error === undefined ? null : JSON.stringify(to.error),
        timings: to.timings === undefined ? null : JSON.stringify(to.timings),
      },
    );
    if (changes === 0) return false;
    for (const event of to.events) log(event, to.at, render);
    return true;
  }

  const renderOf = (id: string) => {
    const row = one('SELECT * FROM renders WHERE id = $id', { id });
    return row && readRender(row);
  };
  const waitersOf = (workId: string) =>
    all(`SELECT * FROM renders WHERE work_id = $workId AND status IN ('queued', 'running') ORDER BY ord`, {
      workId,
    }).map(readRender);
  /** The render that a work was begun for: events about the work name it. */
  const firstRenderOf = (workId: string): StoredRender | undefined => {
    const row = one('SELECT * FROM renders WHERE work_id = $workId ORDER BY ord LIMIT 1', { workId });
    return row && readRender(row);
  };
  const workOf = (id: string): StoredWork | undefined => {
    const row = one('SELECT * FROM works WHERE id = $id', { id });
    return row && readWork(row);
  };

  const imagesOf = (workId: string) =>
    all(
      'SELECT i.*, w.seed FROM work_images w JOIN images i USING (image_id) WHERE w.work_id = $workId ORDER BY w.idx',
      {
        workId,
      },
    ).map(readRenderImage);

  function complete({ queueUntil: _, ...render }: StoredRender): RenderRecord {
    // Nobody tried anything for a render that stored images answered.
    const attempts = render.cached
      ? []
      : all('SELECT * FROM attempts WHERE work_id = $id ORDER BY attempt', { id: render.workId });
    const work = render.status === 'queued' ? workOf(render.workId) : undefined;
    return {
      ...render,
      attempts: attempts.map(readAttempt),
      images: render.status === 'succeeded' ? imagesOf(render.workId) : [],
      queuePosition: work && positionOf(work),
    };
  }

  function positionOf({ generator, priority, lane, ord }: StoredWork): number {
    const better = one(
      `SELECT coalesce(sum(queued), 0) AS n FROM queue_counts WHERE generator = $generator AND
         (priority > $priority OR (priority = $priority AND lane < $lane))`,
      { generator, priority, lane },
    );
    const earlier = one(
      `SELECT count(*) AS n FROM works WHERE status = 'queued' AND generator = $generator AND priority = $priority AND
         lane = $lane AND ord < $ord`,
      { generator, priority, lane, ord },
    );
    return Number(better?.n) + Number(earlier?.n) + 1;
  }

  /** Work that somebody has left: given up when nobody waits any more. Returns its id when that happened now. */
  function leave(workId: string): string | undefined {
    const rest = one(
      `SELECT max(priority) AS priority, min(door <> 'bus') AS lane FROM renders
       WHERE work_id = $workId AND status IN ('queued', 'running')`,
      { workId },
    );
    if (typeof rest?.priority === 'number') {
      place(workId, rest.priority, Number(rest.lane));
      return undefined;
    }
    const changes = run(
      `UPDATE works SET status = 'abandoned' WHERE id = $workId AND status IN ('queued', 'running')`,
      { workId },
    );
    return changes === 0 ? undefined : workId;
  }

  /** Work runs as early as the most urgent of those who wait for it. */
  function place(workId: string, priority: number, lane: number): void {
    run(
      `UPDATE works SET priority = $priority, lane = $lane
       WHERE id = $workId AND status IN ('queued', 'running') AND (priority <> $priority OR lane <> $lane)`,
      { workId, priority, lane },
    );
  }

  /** Ends an attempt unless it has ended; returns how many ms it took, 0 when it had. */
  function closeAttempt(workId: string, attempt: number, at: number, end: AttemptEnd): number {
    const open = one('SELECT * FROM attempts WHERE work_id = $workId AND attempt = $attempt AND ended_at IS NULL', {
      workId,
      attempt,
    });
    const render = firstRenderOf(workId);
    if (open === undefined || render === undefined) return 0;
    const { outcome, error } = end;
    run(
      'UPDATE attempts SET ended_at = $at, outcome = $outcome, error = $error WHERE work_id = $workId AND attempt = $attempt',
      { workId, attempt, at, outcome, error: error === undefined ? null : JSON.stringify(error) },
    );
    return logAttempt(readAttempt(open), render, at, end);
  }

  /** Logs the end of an attempt; returns how many ms it took. */
  function logAttempt(
    { attempt, generator, startedAt, costUsd }: AttemptRecord,
    render: Pick<RenderRecord, 'id' | 'requestId' | 'owner' | 'door'>,
    at: number,
    { outcome, error, ranMs, fallbackTo }: AttemptEnd,
  ): number {
    const durationMs = Math.round(ranMs ?? Math.max(0, at - startedAt));
    const event: NewEvent = {
      type: 'AttemptEnded',
      render_id: render.id,
      request_id: render.requestId,
      generator,
      attempt,
      outcome,
      ...(error === undefined ? {} : { code: error.code }),
      duration_ms: durationMs,
      ...(costUsd === undefined ? {} : { cost_usd: costUsd }),
      ...(fallbackTo === undefined ? {} : { fallback_to: fallbackTo }),
    };
    log(event, at, render);
    return durationMs;
  }

  return {
    run,
    one,
    all,
    log,
    change,
    renderOf,
    waitersOf,
    firstRenderOf,
    workOf,
    imagesOf,
    complete,
    leave,
    place,
    closeAttempt,
    logAttempt,
  };
}

/** How an attempt ended. */
interface AttemptEnd {
  readonly outcome: AttemptOutcome;
  readonly error?: PublicError | undefined;
  readonly ranMs?: number | undefined;
  readonly fallbackTo?: string | undefined;
}
