import type { DatabaseSync } from 'node:sqlite';
import type { ErrorCode } from '../../errors.ts';
import type { LoggedEvent } from '../records.ts';
import type { BatchReply, Call, Failure, Reply, ThreadOperations } from './protocol.ts';

/** What `createBatches` works with. */
export interface BatchParts {
  readonly database: DatabaseSync;
  /** Where the operations put the events that they write. */
  readonly written: LoggedEvent[];
  readonly operations: ThreadOperations;
  describe(error: unknown, otherwise: ErrorCode): Failure;
}

/** Group commit: all calls of a batch become durable together, with one fsync, and each fails for itself. */
export function createBatches({ database, written, operations, describe }: BatchParts) {
  const begin = database.prepare('BEGIN IMMEDIATE');
  const end = database.prepare('COMMIT');

  function commit(calls: readonly Call[]): BatchReply {
    try {
      return attempt(calls, (call) => ({ ok: true, value: perform(call) }));
    } catch {
      // Some call failed, and took the others along. Which one it was is found with savepoints, which cost as much as
      // the calls themselves: so only now.
      return commitEach(calls);
    }
  }

  function commitEach(calls: readonly Call[]): BatchReply {
    try {
      return attempt(calls, performAlone);
    } catch (error) {
      const failure: Reply = { ok: false, ...describe(error, 'storage_failed') };
      return { replies: calls.map(() => failure), events: [] };
    }
  }

  function attempt(calls: readonly Call[], answer: (call: Call) => Reply): BatchReply {
    written.length = 0;
    begin.run();
    try {
      const replies = calls.map(answer);
      end.run();
      return { replies, events: [...written] };
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }

  function perform({ operation, call }: Call): unknown {
    // Each operation takes its own kind of call; the client's types pair them.
    return (operations[operation] as (call: unknown) => unknown)(call);
  }

  function performAlone(call: Call): Reply {
    const mark = written.length;
    database.exec('SAVEPOINT one_call');
    try {
      const value = perform(call);
      database.exec('RELEASE one_call');
      return { ok: true, value };
    } catch (error) {
      // A full disk can end the whole transaction, savepoints included: then no call of the batch stands.
      if (!database.isTransaction) throw error;
      database.exec('ROLLBACK TO one_call; RELEASE one_call');
      written.length = mark;
      return { ok: false, ...describe(error, 'internal') };
    }
  }

  return commit;
}
