import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { temporaryDir } from '../../helper.ts';
import { AT, accept, CANCELLED, claim, find, succeeded } from '../journal-fixtures.ts';
import { openJournal } from './open.ts';

/** SQLite's file format: the header of a WAL, and of each page in it. */
const WAL_HEADER = 32;
const FRAME_HEADER = 24;
/** Bytes from one cut to the next, beside those at the edges of pages. */
const STEP = 3001;

/** What a journal's files hold: renders by their order with their states, and the newest event. */
function readFiles(dir: string) {
  const database = new DatabaseSync(join(dir, 'journal.db'));
  try {
    expect(database.prepare('PRAGMA quick_check').get()).toEqual({ quick_check: 'ok' });
    const states = database.prepare('SELECT status FROM renders ORDER BY ord').all();
    const events = database.prepare('SELECT seq, type FROM events ORDER BY seq').all();
    return { states: states.map(({ status }) => String(status)), events: events.map(({ type }) => String(type)) };
  } finally {
    database.close();
  }
}

it('whatever is missing at the end of its files, a journal holds what was committed before that, and goes on', async () => {
  const { dir, reopen } = await openJournal();
  // With that, all of its tables are in the first file.
  const journal = await reopen();
  const before: number[] = [];
  for (let number = 0; number < 3; number += 1) {
    const { id } = await accept(journal, { requestId: `r${number}` });
    if (number === 0) await journal.finish({ ...(await claim(journal)), result: succeeded(), at: AT });
    if (number === 1) await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at: AT });
    before.push(journal.lastSeq);
  }
  const whole = readFiles(dir);
  const wal = await readFile(join(dir, 'journal.db-wal'));
  const pageBytes = wal.readUInt32BE(8);
  const edges: number[] = [];
  for (let at = WAL_HEADER; at <= wal.length; at += FRAME_HEADER + pageBytes) edges.push(at - 1, at);
  const between = Array.from({ length: Math.ceil(wal.length / STEP) }, (_, index) => index * STEP);
  const cuts = [...new Set([0, ...edges, ...between])].filter((at) => at <= wal.length).sort((a, b) => a - b);
  expect(cuts.length).toBeGreaterThan(100);

  const torn = await temporaryDir();
  let least = 0;
  let last = '';
  for (const cut of cuts) {
    await copyFile(join(dir, 'journal.db'), join(torn, 'journal.db'));
    await writeFile(join(torn, 'journal.db-wal'), wal.subarray(0, cut));
    await writeFile(join(torn, 'journal.db-shm'), '');
    const found = readFiles(torn);
    expect(found.events).toEqual(whole.events.slice(0, found.events.length));
    expect(found.events.length).toBeGreaterThanOrEqual(least);
    least = found.events.length;
    // Each state is that of a commit: whoever is over has its event, and the other way round.
    const over = found.states.filter((status) => status === 'succeeded' || status === 'cancelled').length;
    const told = found.events.filter((type) => type === 'ImageReady' || type === 'RenderCancelled').length;
    expect(over).toBe(told);
    last = JSON.stringify(found);
  }
  expect(last).toBe(JSON.stringify(whole));

  // Half of its last page is gone: the journal opens, has numbers that go on, and takes more.
  await copyFile(join(dir, 'journal.db'), join(torn, 'journal.db'));
  await writeFile(join(torn, 'journal.db-wal'), wal.subarray(0, wal.length - pageBytes / 2));
  const { journal: later } = await openJournal(torn);
  expect(later.lastSeq).toBe(before.at(-2));
  const { id } = await accept(later, { requestId: 'after' });
  expect((await find(later, id)).status).toBe('queued');
});
