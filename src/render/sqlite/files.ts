import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ErrorCode } from '../../errors.ts';
import { MIGRATIONS } from './schema.ts';

// SQLite's result codes: https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;

/** How long somebody who looks into the journal with another program may hold it up, in ms. */
const OTHERS_MS = 1000;

/**
 * Pages (of 4 KiB) that the WAL takes before they go into the file. The ends of the tables and indexes change with every
 * commit: the longer they stay in the WAL, the seldomer they are copied.
 */
const WAL_PAGES = 4000;

/** Memory for the journal's pages, in KiB: the upper parts of all indexes of a million renders, and what is asked often. */
const CACHE_KIB = 32_768;

/**
 * How much of the file is read through the system's own pages, in bytes, instead of by a call for each page: of a million
 * renders, what is asked for is hardly ever in our cache. The system can take that memory back at any time.
 */
const MAPPED_BYTES = 2 ** 30;

/** Why the journal is not opened or written although nothing is broken. */
export class Refusal extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The journal's files, open. */
export interface JournalFiles {
  readonly database: DatabaseSync;
  /** Held by this process alone. */
  readonly lock: DatabaseSync;
  /** Which file `journal.db` was when it was opened. */
  readonly inode: bigint;
}

/** Opens the files in `dir`, or makes them. Throws a `Refusal`, or what SQLite and the system throw. */
export function openFiles(dir: string): JournalFiles {
  mkdirSync(dir, { recursive: true });
  return openJournal(dir, openLock(dir));
}

/** What has become of `journal.db` since it was opened: it can be deleted, or another one put in its place. */
export function fateOf({ inode }: Pick<JournalFiles, 'inode'>, dir: string): 'there' | 'gone' | 'replaced' {
  const found = statSync(join(dir, 'journal.db'), { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return 'gone';
  return found.ino === inode ? 'there' : 'replaced';
}

/**
 * Writes files anew that were deleted while they were open: all that is in them can still be read until they are
 * closed. Throws as `openFiles`; as long as nothing is in their place, `files` stay as they are.
 */
export function putBack(files: JournalFiles, dir: string): JournalFiles {
  mkdirSync(dir, { recursive: true });
  const lock = openLock(dir);
  try {
    writeCopy(files.database, dir);
  } catch (error) {
    lock.close();
    throw error;
  }
  // Before the new file is opened: closing removes what lies at the names of the old one's helper files.
  files.database.close();
  files.lock.close();
  return openJournal(dir, lock);
}

/** A lock file of its own, so that the journal can be read by other programs; it ends with the process. */
function openLock(dir: string): DatabaseSync {
  const lock = new DatabaseSync(join(dir, 'lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (sqliteCode(error) === SQLITE_BUSY) throw new Refusal('data_dir_in_use', 'another process holds the lock');
    throw error;
  }
  return lock;
}

function openJournal(dir: string, lock: DatabaseSync): JournalFiles {
  const path = join(dir, 'journal.db');
  const database = new DatabaseSync(path, { timeout: OTHERS_MS });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
  database.exec(`PRAGMA wal_autocheckpoint = ${WAL_PAGES}; PRAGMA cache_size = -${CACHE_KIB}`);
  database.exec(`PRAGMA mmap_size = ${MAPPED_BYTES}`);
  migrate(database);
  return { database, lock, inode: statSync(path, { bigint: true }).ino };
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

/** A whole copy at the journal's name, durable, or none. */
function writeCopy(database: DatabaseSync, dir: string): void {
  const copy = join(dir, 'journal.db.new');
  rmSync(copy, { force: true });
  database.prepare('VACUUM INTO ?').run(copy);
  sync(copy);
  renameSync(copy, join(dir, 'journal.db'));
  sync(dir);
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The primary result code when SQLite itself threw. */
export function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}
