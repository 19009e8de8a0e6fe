import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RenderFilters } from '../../../src/render/records.ts';
import { createOperations } from '../../../src/render/sqlite/operations.ts';
import { MIGRATIONS } from '../../../src/render/sqlite/schema.ts';
import { AT, CANCELLED, newRender, TIMEOUT } from '../journal-fixtures.ts';

/** A database that keeps the statements that it is asked for. */
class WatchedDatabase extends DatabaseSync {
  asked: string[] = [];

  override prepare(sql: string) {
    this.asked.push(sql);
    return super.prepare(sql);
  }
}

/** The journal's operations, here and now; `plans` tells how SQLite goes about what was asked since the last time. */
function open() {
  const database = new WatchedDatabase(':memory:');
  onTestFinished(() => database.close());
  for (const step of MIGRATIONS) database.exec(step);
  const operations = createOperations(database, []);
  const plans = () => {
    const asked = database.asked.map((sql) => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
    database.asked = [];
    return asked.map((steps) => steps.map(({ detail }) => String(detail)));
  };
  return { operations, plans };
}

/** What SQLite says when it looks at every render, in any order. */
const EVERYTHING = /^(SCAN|SEARCH) renders( USING INTEGER PRIMARY KEY \(rowid<\?\))?$/;

const WAYS: readonly [string, RenderFilters, string][] = [
  ['generator', { generator: 'draw' }, 'renders_by_generator (generator=? AND ord<?)'],
  ['era', { era: 'modern' }, 'renders_of_era (era=? AND ord<?)'],
  ['biome', { biome: 'coast' }, 'renders_by_biome (biome=? AND ord<?)'],
  ['era and biome', { era: 'modern', biome: 'coast' }, 'renders_by_era (era=? AND biome=? AND ord<?)'],
  ['batch', { batchId: 'one' }, 'renders_batch (batch_id=? AND ord<?)'],
  ['owner', { owner: 'ann' }, 'renders_by_owner (owner=? AND ord<?)'],
  ['failure', { status: 'failed' }, 'renders_unhappy (status=? AND ord<?)'],
  ['cancel', { status: 'cancelled', generator: 'draw' }, 'renders_unhappy (status=? AND ord<?)'],
  ['status queued', { status: 'queued' }, 'renders_active'],
  ['status running', { status: 'running', era: 'modern' }, 'renders_active'],
];

describe('SQLite', () => {
  it.each(WAYS)('finds renders by their %s in an index', (_, filters, index) => {
    const { operations, plans } = open();
    operations.listRenders({ filters, limit: 10 });
    const steps = plans().flat();
    expect(steps.some((step) => step.endsWith(`USING INDEX ${index}`))).toBe(true);
    expect(steps.filter((step) => EVERYTHING.test(step))).toEqual([]);
  });

  it('finds the newest renders of all in their table, and the active ones in an index', () => {
    const { operations, plans } = open();
    operations.listRenders({ filters: {}, limit: 10 });
    const steps = plans().flat();
    expect(steps.filter((step) => EVERYTHING.test(step))).toHaveLength(1);
    expect(steps).toContain('SCAN renders USING INDEX renders_active');
  });

  it('looks up the renders that a search has found one by one, whatever else must hold', () => {
    const { operations, plans } = open();
    operations.listRenders({ filters: { text: 'delta', era: 'modern', status: 'failed' }, limit: 10 });
    const steps = plans().flat();
    expect(steps).toContain('SEARCH renders USING INTEGER PRIMARY KEY (rowid=?)');
    expect(steps.filter((step) => EVERYTHING.test(step))).toEqual([]);
  });

  it('adds up no files to know how many there are', () => {
    const { operations, plans } = open();
    operations.storeUsage({});
    expect(plans().flat()).toEqual(['SCAN store_usage']);
  });

  it('finds what is to be forgotten by its place, and the newest time by indexes', () => {
    const { operations, plans } = open();
    operations.accept({ renders: [newRender()], maxQueued: 10 });
    operations.clearQueue({ error: CANCELLED, at: AT });
    plans();
    operations.noteTime({ at: AT });
    operations.latestTime({});
    expect(operations.forget({ endedBefore: AT + 1, at: AT })).toEqual({ renders: 1 });
    const steps = plans().flat();
    expect(steps).toContain('SEARCH events USING INDEX events_last (render_id=? AND rowid>?)');
    expect(steps.filter((step) => /^SCAN (renders|events|images|inputs|idempotency_keys|times)\b/.test(step))).toEqual(
      [],
    );
  });

  it('takes the matches of a search from the newest on, and sorts none', () => {
    const { operations, plans } = open();
    operations.accept({ renders: [newRender({ request: { prompt: 'the deltas' } })], maxQueued: 10 });
    plans();
    operations.listRenders({ filters: { text: 'the delt' }, limit: 1 });
    const asked = plans();
    expect(asked.flat()).toContain('SEARCH prompt_words USING PRIMARY KEY (word>? AND word<?)');
    const ofMatches = asked.filter((steps) =>
      steps.some((step) => /^SCAN prompts VIRTUAL TABLE INDEX \d+:M/.test(step)),
    );
    expect(ofMatches).not.toEqual([]);
    expect(ofMatches.flat().filter((step) => step.startsWith('USE TEMP B-TREE'))).toEqual([]);
  });

  it('looks at what is active only, for whatever is about that', () => {
    const { operations, plans } = open();
    const now = { at: AT, steadyAt: AT };
    const one = newRender({ clearQueue: true, cacheKey: 'ab', request: { prompt: 'a', era: 'modern' } });
    operations.accept({ renders: [one], maxQueued: 10, idempotency: { key: 'k', bodyHash: 'b' } });
    operations.expireQueued({ unstarted: TIMEOUT, started: TIMEOUT, ...now });
    operations.supersedeStale({ owner: 'bus', door: 'bus', era: 'a', biome: 'b', error: CANCELLED, at: AT });
    operations.clearQueue({ error: CANCELLED, at: AT });
    operations.claim({ generator: 'draw', ...now });
    operations.queueStats({});
    operations.findShared({ cacheKey: 'ab' });
    operations.recover({ crashAttempts: 2, generators: ['draw'], ...now });
    operations.leftJobs({ generators: ['draw'], since: 0, limit: 9 });
    const asked = plans();
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.flat().filter((step) => EVERYTHING.test(step) || step === 'SCAN works')).toEqual([]);
  });
});
