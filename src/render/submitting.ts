import { AppError, asAppError } from '../errors.ts';
import type { RenderResource } from '../messages/render.ts';
import type { Hold, ImageStore } from '../store/image-store.ts';
import { hashOfCall, named, refuseTwins } from './calls.ts';
import type { Hub, PublishedEvent } from './hub.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import type { PreparationOptions, Submission } from './prepare.ts';
import { createPreparation } from './prepare.ts';
import type { QueueTimeouts } from './queue-timeouts.ts';
import type { Accepted, NewRender, RenderRecord, Taken } from './records.ts';
import { bodyHashOf } from './resolve.ts';
import type { Runner } from './runner.ts';
import type { StorageGate } from './storage-gate.ts';

/** Options of `createSubmitting`. */
export interface SubmittingOptions extends PreparationOptions {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly runner: Runner;
  readonly timeouts: Pick<QueueTimeouts, 'expect'>;
  readonly maxQueued: number;
  readonly store: Pick<ImageStore, 'hold' | 'has'>;
  readonly storage: Pick<StorageGate, 'admit'>;
  readonly log: Logger;
  present(record: RenderRecord): RenderResource;
  draining(): boolean;
}

/** What became of a request: `replay` holds the last events of a render that was known and is over. */
export interface Submitted {
  readonly kind: 'accepted' | 'known';
  readonly render: RenderResource;
  readonly replay: readonly PublishedEvent[];
}

/** Requests that come in together; all of them are taken, or none. */
export interface Call {
  readonly submissions: readonly Submission[];
  /** The caller's name for the call: a repetition of it is answered with what it made. */
  readonly idempotencyKey?: string | undefined;
  readonly batchId?: string | undefined;
}

/** How requests get into the journal. */
export function createSubmitting(options: SubmittingOptions) {
  const { journal, hub, runner, timeouts, present, store } = options;
  const preparation = createPreparation(options);

  async function submitAll(call: Call): Promise<Submitted[]> {
    const hold = store.hold();
    try {
      return await answer(call, hold);
    } finally {
      await giveUpInputs(hold);
      hold.release();
    }
  }

  /** Input images of a request that was not taken: nobody else would ever give them up. */
  async function giveUpInputs({ inputs }: Hold): Promise<void> {
    if (inputs.size === 0) return;
    try {
      await journal.doom({ files: [...inputs].map((imageId) => ({ kind: 'input', imageId })) });
    } catch (error) {
      options.log.warn({ err: error }, 'input images that nobody wants could not be given up');
    }
  }

  async function answer(call: Call, hold: Hold): Promise<Submitted[]> {
    try {
      if (options.draining()) throw new AppError('draining', 'The server is stopping and takes no more renders.');
      await options.storage.admit();
      refuseTwins(call);
      const prepared: Prepared[] = [];
      for (const [index, submission] of call.submissions.entries()) {
        prepared.push(await prepareOne(call, submission, index, hold));
      }
      return await take(call, prepared, hold);
    } catch (error) {
      // What was accepted once stays accepted, even where it would be refused today.
      const conflict = ['request_id_conflict', 'idempotency_key_conflict'].includes(asAppError(error).code);
      const known = conflict ? undefined : await findSame(call, hold);
      if (known === undefined) throw error;
      return await Promise.all(known.map((render) => toSubmitted({ kind: 'known', render })));
    }
  }

  async function prepareOne({ batchId }: Call, submission: Submission, index: number, hold: Hold): Promise<Prepared> {
    try {
      const render = { ...(await preparation.prepare(submission, hold)), batchId };
      const stored = await hasStored(render);
      if (!stored) refuseWhileOpen(render);
      return { render, stored };
    } catch (error) {
      throw batchId === undefined ? error : named(asAppError(error), index);
    }
  }

  /** As long as a generator is left alone, only its fallbacks could answer. */
  function refuseWhileOpen({ generator, fallback, spec }: NewRender): void {
    const breaker = runner.breakerOf(generator);
    if (breaker?.refusal === undefined || breaker.state !== 'open') return;
    if (fallback && runner.hasFallbackFor(generator, spec)) return;
    throw breaker.refusal;
  }

  /**
   * Whether stored images will answer. They do so only while their files are there, and anybody may have deleted those:
   * what is gone is noted.
   */
  async function hasStored({ cacheKey, useCache, steadyAt: at }: NewRender): Promise<boolean> {
    if (cacheKey === undefined || !useCache) return false;
    const images = await journal.findShared({ cacheKey });
    const there = await Promise.all(images.map(({ imageId, format }) => store.has(imageId, format)));
    const lost = images.filter((_, index) => there[index] === false).map(({ imageId }) => imageId);
    if (lost.length > 0) await journal.lose({ imageIds: lost, at });
    return images.length > 0 && lost.length === 0;
  }

  /** The renders that the call, or the ids in it, stand for already, if they are the same requests. */
  async function findSame(call: Call, hold: Hold): Promise<RenderRecord[] | undefined> {
    const { submissions, idempotencyKey } = call;
    const [first] = submissions;
    if (first === undefined) return undefined;
    if (idempotencyKey !== undefined) {
      const { owner } = first.caller;
      const earlier = await journal.findCall({ owner, key: idempotencyKey, at: options.steadyNow() });
      if (earlier !== undefined) return await ifSame(call, earlier.renders, earlier.bodyHash, hold);
    }
    const known: RenderRecord[] = [];
    for (const submission of submissions) {
      const render = await findKnown(submission);
      if (render === undefined) return undefined;
      if (bodyHashOf(render) !== (await preparation.hashRequest(submission, render.request, hold))) return undefined;
      known.push(render);
    }
    return known;
  }

  async function ifSame(call: Call, renders: readonly RenderRecord[], bodyHash: string, hold: Hold) {
    const hashes: string[] = [];
    for (const [index, submission] of call.submissions.entries()) {
      const earlier = renders[index];
      if (earlier === undefined) return undefined;
      hashes.push(await preparation.hashRequest(submission, earlier.request, hold));
    }
    return hashOfCall(hashes) === bodyHash ? [...renders] : undefined;
  }

  async function findKnown({ caller, request }: Submission): Promise<RenderRecord | undefined> {
    if (request.request_id === undefined) return undefined;
    const known = await journal.findRender({ id: request.request_id, owner: caller.owner });
    const same = known?.owner === caller.owner && known.requestId === request.request_id;
    return same ? known : undefined;
  }

  async function take({ idempotencyKey }: Call, prepared: readonly Prepared[], hold: Hold): Promise<Submitted[]> {
    const renders = prepared.map(({ render }) => render);
    const idempotency =
      idempotencyKey === undefined ? undefined : { key: idempotencyKey, bodyHash: hashOfCall(renders.map(bodyHashOf)) };
    const accepting = journal.accept({ renders, idempotency, maxQueued: options.maxQueued });
    // Free slots ask for work behind it, and get it in the same commit.
    for (const { render, stored } of prepared) if (!stored) runner.wake(render.generator);
    const outcome = await accepting;
    // Taken or not: the journal knows of them now.
    hold.inputs.clear();
    if (outcome.kind !== 'taken') throw refusal(outcome, renders);
    for (const workId of outcome.stoppedWork) {
      void runner.stop(workId, new AppError('superseded', 'A newer request with clear_queue took its place.'));
    }
    for (const [index, taken] of outcome.renders.entries()) begin(taken, prepared[index]);
    return await Promise.all(outcome.renders.map(toSubmitted));
  }

  /** Has somebody look after a render that has come in. */
  function begin(taken: Taken, asked: Prepared | undefined): void {
    if (taken.kind === 'known' || asked === undefined) return;
    const { id: renderId, status, workId, generator, requestId, timeoutMs, fallback } = taken.render;
    if (status === 'queued') {
      timeouts.expect(asked.render.queueUntil);
      if (asked.stored) runner.wake(generator);
    }
    // Work under way was joined; it must know who waits, and for how long.
    if (status === 'running') runner.join(workId, { renderId, requestId, timeoutMs, fallback, spentMs: 0 });
  }

  function refusal(outcome: Exclude<Accepted, { kind: 'taken' }>, renders: readonly NewRender[]): AppError {
    if (outcome.kind === 'full') {
      const retryAfterMs = Math.max(...renders.map(({ generator }) => timeToRoomMs(generator)));
      return new AppError('queue_full', `${outcome.queued} renders wait already, too many for more.`, { retryAfterMs });
    }
    if (outcome.on === 'idempotency_key') {
      return new AppError('idempotency_key_conflict', 'Idempotency-Key: it was used for another request before.');
    }
    const path = renders[outcome.index]?.batchId !== undefined ? `requests.${outcome.index}.request_id` : 'request_id';
    return new AppError('request_id_conflict', `${path}: another request was accepted under this id before.`, {
      issues: [{ path, message: 'belongs to another request' }],
    });
  }

  /** When the next place in the queue comes free, by the pace of late. */
  function timeToRoomMs(generator: string): number {
    const { meanMs = 0, concurrency } = runner.statsOf(generator);
    return Math.max(1000, meanMs / concurrency);
  }

  async function toSubmitted({ kind, render }: Pick<Taken, 'kind' | 'render'>): Promise<Submitted> {
    const replay = kind === 'known' ? await lastEvents(render) : [];
    return { kind, render: present(render), replay };
  }

  /** The last events of a render that is over, to be sent again to a peer that asks again. */
  async function lastEvents(render: RenderRecord): Promise<PublishedEvent[]> {
    if (render.finishedAt === undefined) return [];
    const events = await journal.lastEvents({ renderId: render.id });
    return events.map(hub.publishable);
  }

  return { submitAll };
}

/** A render on its way into the journal, and whether stored images are expected to answer. */
interface Prepared {
  readonly render: NewRender;
  readonly stored: boolean;
}
