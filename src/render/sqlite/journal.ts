import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../errors.ts';
import type { Committed, Journal } from '../journal.ts';
import type { LoggedEvent } from '../records.ts';
import type { Call, Reply, ThreadCall, ThreadOperations, ThreadReply, WorkerStart } from './protocol.ts';
import { completed } from './protocol.ts';

/**
 * Calls that share one fsync at most: enough to amortise it, and few enough that the event loop prepares the next calls
 * while the thread writes these. With many more, under load, each would wait for the other in turn.
 */
const MAX_BATCH = 48;

const MESSAGES: Partial<Record<Extract<Reply, { ok: false }>['code'], string>> = {
  storage_full: 'The disk is full, so nothing can be accepted until there is room.',
  storage_failed: 'The journal could not be written.',
  internal: 'The journal met an error that it did not expect.',
  data_dir_in_use: 'Another image-server process uses this data directory. Stop it, or set another data_dir.',
  journal_unreadable: 'The journal in the data directory (data_dir) cannot be opened.',
};

interface Waiting extends Call {
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

/** Options of `openSqliteJournal`. */
export interface SqliteJournalOptions {
  /** Absolute folder of the journal's files; made when missing. One process at a time. */
  readonly dir: string;
  /** Hears when the journal's thread dies: nothing can be accepted or finished any more. */
  onFatal(error: AppError): void;
  /** Hears that somebody had deleted the journal's files, and that they were written anew from the open ones. */
  onRestored?(): void;
}

/**
 * Opens the journal in SQLite, in a worker thread, so that an fsync never stops the event loop. Callers that come
 * while a commit is under way share the next one.
 * Throws `data_dir_in_use` or `journal_unreadable`.
 */
export async function openSqliteJournal({ dir, onFatal, onRestored }: SqliteJournalOptions): Promise<Journal> {
  const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), { workerData: { dir } });
  const [start] = (await once(worker, 'message')) as [WorkerStart];
  if (start.kind === 'failed') {
    await worker.terminate();
    throw failure(start.code, start.detail);
  }

  const waiting: Waiting[] = [];
  const listeners: ((events: readonly LoggedEvent[]) => void)[] = [];
  let underWay: readonly Waiting[] = [];
  let lastSeq = start.lastSeq;
  let closed: Promise<unknown> | undefined;
  let ending = false;
  let dead: AppError | undefined;
  let sending: NodeJS.Immediate | undefined;

  worker.on('message', (text: string) => {
    const { replies, events, restored }: ThreadReply = JSON.parse(text);
    if (restored) onRestored?.();
    const answered = underWay;
    underWay = [];
    lastSeq = events.at(-1)?.event.seq ?? lastSeq;
    if (events.length > 0) for (const listener of listeners) listener(events);
    for (const [index, call] of answered.entries()) settle(call, replies[index]);
    sendSoon();
  });
  worker.on('error', die);
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('exit', () => {
    if (!ending) die(new Error('the journal’s thread has ended'));
  });

  function die(cause: Error): void {
    if (dead !== undefined) return;
    dead = new AppError('storage_failed', 'The journal has stopped working.', { cause });
    for (const call of [...underWay, ...waiting.splice(0)]) call.reject(dead);
    underWay = [];
    onFatal(dead);
  }

  function tell(message: ThreadCall): void {
    worker.postMessage(JSON.stringify(message));
  }

  /** At the end of this turn: what else comes in by then, as answer to the last batch, shares the commit. */
  function sendSoon(): void {
    if (sending !== undefined || underWay.length > 0 || waiting.length === 0) return;
    sending = setImmediate(send);
  }

  function send(): void {
    sending = undefined;
    if (underWay.length > 0 || waiting.length === 0) return;
    underWay = waiting.splice(0, MAX_BATCH);
    tell({ calls: underWay.map(({ operation, call }) => ({ operation, call })) });
  }

  function call<O extends keyof ThreadOperations>(operation: O): Committed<ThreadOperations>[O] {
    const enqueue = (argument: unknown) =>
      new Promise((resolve, reject) => {
        if (dead !== undefined || closed !== undefined) {
          reject(dead ?? new AppError('draining', 'The journal is closed.'));
          return;
        }
        waiting.push({ operation, call: argument, resolve, reject });
        sendSoon();
      });
    // The thread answers each operation with its own kind of value.
    return enqueue as Committed<ThreadOperations>[O];
  }

  const accept = call('accept');
  return {
    logId: start.logId,
    get lastSeq() {
      return lastSeq;
    },
    onEvents: (listener) => void listeners.push(listener),
    async close() {
      closed ??= finish();
      await closed;
    },
    async accept(asked) {
      return completed(await accept(asked), asked);
    },
    claim: call('claim'),
    beginAttempt: call('beginAttempt'),
    noteRemoteId: call('noteRemoteId'),
    noteCost: call('noteCost'),
    spentSince: call('spentSince'),
    leftJobs: call('leftJobs'),
    settle: call('settle'),
    finish: call('finish'),
    endAttempt: call('endAttempt'),
    release: call('release'),
    fallBack: call('fallBack'),
    interrupted: call('interrupted'),
    recover: call('recover'),
    expireQueued: call('expireQueued'),
    clearQueue: call('clearQueue'),
    supersedeStale: call('supersedeStale'),
    setPaused: call('setPaused'),
    isPaused: call('isPaused'),
    findRender: call('findRender'),
    findCall: call('findCall'),
    listRenders: call('listRenders'),
    findShared: call('findShared'),
    findNearest: call('findNearest'),
    touch: call('touch'),
    lose: call('lose'),
    evict: call('evict'),
    doom: call('doom'),
    doomed: call('doomed'),
    isDoomed: call('isDoomed'),
    removed: call('removed'),
    storeUsage: call('storeUsage'),
    noteTime: call('noteTime'),
    latestTime: call('latestTime'),
    forget: call('forget'),
    indexPrompts: call('indexPrompts'),
    findImage: call('findImage'),
    note: call('note'),
    eventsAfter: call('eventsAfter'),
    lastEvents: call('lastEvents'),
    queueStats: call('queueStats'),
    probe: call('probe'),
  };

  async function finish(): Promise<void> {
    // Whatever waits goes out as the last batches; a thread that dies leaves nothing waiting.
    while (waiting.length > 0 || underWay.length > 0) {
      await Promise.race([new Promise<void>((resolve) => worker.once('message', () => resolve())), ended]);
    }
    ending = true;
    tell('close');
    await ended;
  }
}

function settle(call: Waiting, reply: Reply | undefined): void {
  if (reply?.ok) call.resolve(reply.value);
  else call.reject(failure(reply?.code ?? 'internal', reply?.detail ?? 'the thread did not answer'));
}

function failure(code: Extract<Reply, { ok: false }>['code'], detail: string): AppError {
  return new AppError(code, MESSAGES[code] ?? 'The journal failed.', { cause: new Error(detail) });
}
