import { onTestFinished } from 'vitest';
import type { AppError } from '../../../src/errors.ts';
import type { Journal } from '../../../src/render/journal.ts';
import { openSqliteJournal } from '../../../src/render/sqlite/journal.ts';
import { temporaryDir } from '../../helper.ts';
import type { OpenedJournal } from '../journal-conformance.ts';

/** A journal in a folder, with what only SQLite's has. */
export interface OpenedSqliteJournal extends OpenedJournal {
  readonly dir: string;
  /** What `onFatal` heard. */
  readonly fatal: AppError[];
}

/** Opens a journal in `dir`, by default a new folder; closed when the test ends. */
export async function openJournal(dir?: string): Promise<OpenedSqliteJournal> {
  const folder = dir ?? (await temporaryDir());
  const fatal: AppError[] = [];
  const open = async (): Promise<Journal> => {
    const journal = await openSqliteJournal({ dir: folder, onFatal: (error) => fatal.push(error) });
    onTestFinished(() => journal.close());
    return journal;
  };
  let journal = await open();
  return {
    dir: folder,
    fatal,
    journal,
    async reopen() {
      await journal.close();
      journal = await open();
      return journal;
    },
  };
}
