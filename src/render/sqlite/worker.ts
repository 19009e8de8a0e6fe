import { parentPort, workerData } from 'node:worker_threads';
import type { ErrorCode } from '../../errors.ts';
import type { LoggedEvent } from '../records.ts';
import { createBatches } from './batches.ts';
import type { JournalFiles } from './files.ts';
import { fateOf, openFiles, putBack, Refusal, sqliteCode } from './files.ts';
import { createOperations } from './operations.ts';
import type { Call, Failure, ThreadCall, ThreadReply, WorkerStart } from './protocol.ts';

// SQLite's result codes: https://www.sqlite.org/rescode.html
const SQLITE_FULL = 13;

const port = parentPort;
if (port === null) throw new Error('the journal’s worker must run as a worker thread');
const dir = String(workerData.dir);

function tidy({ database }: JournalFiles): void {
  try {
    database.exec('PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // Nothing depends on it: what the full disk or another program keeps in the WAL, the next start takes from there.
    if (sqliteCode(error) === undefined) throw error;
  }
}

/** How batches are committed to these files. */
function commitTo({ database }: JournalFiles) {
  const written: LoggedEvent[] = [];
  const operations = createOperations(database, written);
  return createBatches({ database, written, operations, describe });
}

function serve(opened: JournalFiles): void {
  let files = opened;
  let commit = commitTo(files);

  /** Who hears of a commit must find it after a crash: so it goes into files that are there. */
  function secure(): boolean {
    const fate = fateOf(files, dir);
    if (fate === 'replaced') throw new Refusal('storage_failed', 'another journal was put in the place of this one');
    if (fate === 'there') return false;
    files = putBack(files, dir);
    commit = commitTo(files);
    return true;
  }

  function answer(calls: readonly Call[]): ThreadReply {
    let restored: boolean;
    try {
      restored = secure();
    } catch (error) {
      // Without files there is nothing to go on with: the next start takes what was put back.
      if (!files.database.isOpen) throw error;
      const { code, detail } = describe(error, 'storage_failed');
      const failure = { ok: false, code: code === 'storage_full' ? code : 'storage_failed', detail } as const;
      return { replies: calls.map(() => failure), events: [], restored: false };
    }
    return { ...commit(calls), restored };
  }

  port?.on('message', (text: string) => {
    const message: ThreadCall = JSON.parse(text);
    if (message === 'close') {
      tidy(files);
      files.database.close();
      files.lock.close();
      port.close();
      return;
    }
    port.postMessage(JSON.stringify(answer(message.calls)));
  });
  const { database } = files;
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

try {
  serve(openFiles(dir));
} catch (error) {
  port.postMessage({ kind: 'failed', ...describe(error, 'journal_unreadable') } satisfies WorkerStart);
}
