import type { DatabaseSync } from 'node:sqlite';
import type { LoggedEvent } from '../records.ts';
import { createAccept } from './accept.ts';
import { createContext } from './context.ts';
import { createCosts } from './costs.ts';
import { createForgetting } from './forgetting.ts';
import { createListing } from './listing.ts';
import type { ThreadOperations } from './protocol.ts';
import { createQueries } from './queries.ts';
import { createQueueOperations, SERVER } from './queue.ts';
import { createRecovery } from './recovery.ts';
import { createRetentionOperations } from './retention.ts';
import { createWorkOperations } from './work.ts';

/** The journal's operations on one open database; see `createContext`. */
export function createOperations(database: DatabaseSync, written: LoggedEvent[]): ThreadOperations {
  const context = createContext(database, written);
  return {
    ...createAccept(context),
    ...createWorkOperations(context),
    ...createCosts(context),
    ...createQueueOperations(context),
    ...createRecovery(context),
    ...createQueries(context),
    ...createListing(context),
    ...createRetentionOperations(context),
    ...createForgetting(context),
    note: ({ event, at }) => context.log(event, at, SERVER),
    probe({ at }) {
      context.run(
        `INSERT INTO meta (key, value) VALUES ('probed_at', $at) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
        { at: String(at) },
      );
    },
  };
}
