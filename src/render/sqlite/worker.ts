import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { ErrorCode } from '../../errors.ts';
import type { LoggedEvent } from '../journal.ts';
import { createBatches } from './batches.ts';
import { createOperations } from './operations.ts';
import type { Call, Failure, WorkerStart } from './protocol.ts';
import { MIGRATIONS } from './schema.ts';

// SQLite's result codes: https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

const port = parentPort;
if (port === null) throw new Error('the journal’s worker must run as a worker thread');

/** Why the journal is not opened although nothing is broken. */
class Refusal extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** How long somebody who looks into the journal with another program may hold it up, in ms. */
const OTHERS_MS = 1000;

interface Open {
  readonly database: DatabaseSync;
  readonly lock: DatabaseSync;
}

function open(dir: string): Open {
  mkdirSync(dir, { recursive: true });
  // The lock is a file of its own, so that the journal can be read by other programs; it ends with the process.
  const lock = new DatabaseSync(join(dir, 'lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    if (sqliteCode(error) === SQLITE_BUSY) throw new Refusal('data_dir_in_use', 'another process holds the lock');
    throw error;
  }
  const database = new DatabaseSync(join(dir, 'journal.db'), { timeout: OTHERS_MS });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
  migrate(database);
  return { database, lock };
}

function migrate(database: DatabaseSync): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version);
  if (version > MIGRATIONS.length) {
    throw new Refusal('journal_unreadable', `its schema is version ${version}, newer than ${MIGRATIONS.length}`);
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${step} PRAGMA user_version = ${index + 1}; COMMIT`);
  }
  database.prepare(`INSERT INTO meta (key, value) VALUES ('log_id', ?) ON CONFLICT DO NOTHING`).run(randomUUID());
}

function tidy(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // Nothing depends on it: what the full disk or another program keeps in the WAL, the next start takes from there.
    if (sqliteCode(error) === undefined) throw error;
  }
}

function serve({ database, lock }: Open): void {
  const written: LoggedEvent[] = [];
  const operations = createOperations(database, written);
  const commit = createBatches({ database, written, operations, describe });
  port?.on('message', (message: { calls: readonly Call[] } | 'close') => {
    if (message === 'close') {
      tidy(database);
      database.close();
      lock.close();
      port.close();
      return;
    }
    port.postMessage(commit(message.calls));
  });
  const logId = database.prepare(`SELECT value FROM meta WHERE key = 'log_id'`).get()?.value;
  // The newest number that was given, even if its event is gone by now.
  const lastSeq =
    database.prepare(`SELECT CAST(seq AS REAL) AS seq FROM sqlite_sequence WHERE name = 'events'`).get()?.seq ?? 0;
  port?.postMessage({ kind: 'ready', logId: String(logId), lastSeq: Number(lastSeq) } satisfies WorkerStart);
}

/** What the other side is told of an error; `otherwise` when it was none of SQLite's. */
function describe(error: unknown, otherwise: ErrorCode): Failure {
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof Refusal) return { code: error.code, detail };
  const code = sqliteCode(error);
  if (code === undefined) return { code: otherwise, detail };
  if (code === SQLITE_FULL) return { code: 'storage_full', detail };
  return { code: otherwise === 'internal' ? 'storage_failed' : otherwise, detail };
}

/** The primary result code when SQLite itself threw. */
function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}

try {
  serve(open(String(workerData.dir)));
} catch (error) {
  port.postMessage({ kind: 'failed', ...describe(error, 'journal_unreadable') } satisfies WorkerStart);
}
