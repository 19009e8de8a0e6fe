import type { DatabaseSync } from 'node:sqlite';
import type { Caller, JournalOperations, LoggedEvent } from '../journal.ts';
import { createAccept } from './accept.ts';
import { createContext } from './context.ts';
import { createQueries } from './queries.ts';
import { createRetentionOperations } from './retention.ts';
import { createWorkOperations } from './work.ts';

/** Events about no render belong to the server itself. */
const SERVER: Caller = { owner: 'server', door: 'rest' };

/** The journal's operations on one open database; see `createContext`. */
export function createOperations(database: DatabaseSync, written: LoggedEvent[]): JournalOperations {
  const context = createContext(database, written);
  const work = createWorkOperations(context);
  return {
    ...work,
    ...createAccept(context, work.settle),
    ...createQueries(context),
    ...createRetentionOperations(context),
    note: ({ event, at }) => context.log(event, at, SERVER),
    probe({ at }) {
      context.run(
        `INSERT INTO meta (key, value) VALUES ('probed_at', $at) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
        { at: String(at) },
      );
    },
  };
}
