import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import type { LoggedEvent } from '../../../src/render/records.ts';
import { AT, accept, acceptOne, allEvents, expectCode, find, newRender } from '../journal-fixtures.ts';
import type { OpenedSqliteJournal } from './open.ts';
import { openJournal } from './open.ts';

/** A render that the database refuses: its column takes whole numbers only. */
const refused = () => newRender({ timeoutMs: 0.5 });

it('one call that fails does not fail the others that share its commit', async () => {
  const { journal } = await openJournal();
  const heard: LoggedEvent[] = [];
  journal.onEvents((events) => heard.push(...events));
  const renders = Array.from({ length: 20 }, (_, index) => (index % 3 === 0 ? refused() : newRender()));
  const outcomes = await Promise.allSettled(renders.map((render) => acceptOne(journal, render, 100)));

  for (const [index, { status }] of outcomes.entries()) expect(status).toBe(index % 3 === 0 ? 'rejected' : 'fulfilled');
  const good = renders.filter((_, index) => index % 3 !== 0).map(({ id }) => id);
  expect(heard.map(({ event }) => ('render_id' in event ? event.render_id : ''))).toEqual(good);
  expect(heard.map(({ event }) => event.seq)).toEqual(good.map((_, index) => index + 1));
  expect(await allEvents(journal)).toEqual(heard);
});

it('a call that fails half way leaves nothing behind', async () => {
  const { journal } = await openJournal();
  const heard: LoggedEvent[] = [];
  journal.onEvents((events) => heard.push(...events));
  const older = await accept(journal);
  const newer = { ...refused(), clearQueue: true };
  await expectCode(acceptOne(journal, newer, 10), 'storage_failed');
  expect((await find(journal, older.id)).status).toBe('queued');
  expect(await journal.queueStats({})).toMatchObject([{ queued: 1 }]);
  await accept(journal);
  expect(heard.map(({ event }) => event.type)).toEqual(['RenderQueued', 'RenderQueued']);
  expect(await allEvents(journal)).toEqual(heard);
});

it('a full database refuses with storage_full, loses nothing and goes on when there is room', async () => {
  const { journal, dir } = await openJournal();
  const first = await accept(journal);
  const heard: LoggedEvent[] = [];
  journal.onEvents((events) => heard.push(...events));

  // SQLite is full as well when a table has used its last number: an end of the disk that any machine has.
  setLastNumber(dir, '9223372036854775807');
  const calls = Array.from({ length: 5 }, () => acceptOne(journal, newRender(), 100));
  for (const call of calls) await expectCode(call, 'storage_full');
  expect(heard).toEqual([]);
  expect(journal.lastSeq).toBe(1);
  expect((await find(journal, first.id)).status).toBe('queued');

  setLastNumber(dir, '1');
  await accept(journal);
  expect(heard.map(({ event }) => event.seq)).toEqual([2]);
  expect(await journal.queueStats({})).toMatchObject([{ queued: 2 }]);
});

it('a thread that ends fails what waits and what comes, and says that nothing goes any more', async () => {
  const { opened, worker } = await openWithWorker();
  const calls = Array.from({ length: 300 }, () => accept(opened.journal));
  const failed = Promise.allSettled(calls);
  await worker.terminate();
  expect((await failed).at(-1)?.status).toBe('rejected');
  await expectDead(opened);
});

it('a thread that fails does so as well', async () => {
  const { opened, worker } = await openWithWorker();
  // No message of ours: the thread has no answer to it.
  worker.postMessage(null);
  await expectCode(accept(opened.journal), 'storage_failed');
  await expectDead(opened);
});

it('closing ends also when the thread dies meanwhile', async () => {
  const { opened, worker } = await openWithWorker();
  const calls = Array.from({ length: 600 }, () => accept(opened.journal));
  const failed = Promise.allSettled(calls);
  const closed = opened.journal.close();
  await worker.terminate();
  await closed;
  expect((await failed).at(-1)?.status).toBe('rejected');
  expect(opened.fatal).toMatchObject([{ code: 'storage_failed' }]);
});

function setLastNumber(dir: string, number: string): void {
  const database = new DatabaseSync(join(dir, 'journal.db'), { timeout: 10_000 });
  database.exec(`UPDATE sqlite_sequence SET seq = ${number} WHERE name = 'events'`);
  database.close();
}

async function openWithWorker(): Promise<{ opened: OpenedSqliteJournal; worker: Worker }> {
  const workers: Worker[] = [];
  const watch = (worker: Worker) => void workers.push(worker);
  process.on('worker', watch);
  onTestFinished(() => void process.off('worker', watch));
  const opened = await openJournal();
  const [worker] = workers;
  if (worker === undefined) throw new Error('the journal has no thread');
  return { opened, worker };
}

/** Once, however much fails; and the folder is free for the next process. */
async function expectDead({ journal, fatal, dir }: OpenedSqliteJournal): Promise<void> {
  await expectCode(journal.probe({ at: AT }), 'storage_failed');
  expect(fatal).toMatchObject([{ code: 'storage_failed' }]);
  await journal.close();
  const { journal: next } = await openJournal(dir);
  await accept(next);
}

it('closing ends and harms nothing when the database can be read but not written', async () => {
  const { journal, dir, fatal } = await openJournal();
  const { id } = await accept(journal);
  const other = new DatabaseSync(join(dir, 'journal.db'));
  other.exec('BEGIN IMMEDIATE');
  await expectCode(accept(journal), 'storage_failed');
  await journal.close();
  expect(fatal).toEqual([]);
  other.exec('ROLLBACK');
  other.close();
  const { journal: next } = await openJournal(dir);
  expect((await find(next, id)).status).toBe('queued');
});
