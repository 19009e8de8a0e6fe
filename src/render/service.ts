import { AppError, asAppError } from '../errors.ts';
import type { CancelOutcome, GeneratorResource, RenderResource } from '../messages/render.ts';
import type { Hold, ImageStore } from '../store/image-store.ts';
import type { Hub, PublishedEvent } from './hub.ts';
import type { ImageRecord, Journal, NewRender, RenderRecord } from './journal.ts';
import type { Links } from './links.ts';
import type { Logger } from './logger.ts';
import type { PreparationOptions, Submission } from './prepare.ts';
import { createPreparation } from './prepare.ts';
import { presentGenerator, presentRender } from './present.ts';
import type { Runner } from './runner.ts';

/** Options of `createRenderService`. */
export interface RenderServiceOptions extends PreparationOptions {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly runner: Runner;
  readonly maxQueued: number;
  readonly store: Pick<ImageStore, 'hold'>;
  readonly links: Links;
  readonly log: Logger;
}

/** What became of a request: `replay` holds the last events of a render that was known and is over. */
export interface Submitted {
  readonly kind: 'accepted' | 'known';
  readonly render: RenderResource;
  readonly replay: readonly PublishedEvent[];
}

/** The one door to renders: every transport goes through it, none past it. */
export type RenderService = ReturnType<typeof createRenderService>;

/** Creates the door. */
export function createRenderService(options: RenderServiceOptions) {
  const { journal, hub, runner, generators, links, clock } = options;
  const preparation = createPreparation(options);
  let draining = false;
  /** How to end each wait at once. */
  const waits = new Set<() => void>();

  const present = (record: RenderRecord): RenderResource =>
    presentRender(record, links, runner.progressOf(record.workId));

  /**
   * Accepts a render; resolves when it is journalled. The same `request_id` with the same body is the same render.
   * Throws `invalid_request`, `unknown_generator`, `unsupported_field`, `invalid_image`, `uri_not_allowed`,
   * `request_id_conflict`, `queue_full`, `draining`, `storage_full` or `storage_failed`.
   */
  async function submit(submission: Submission): Promise<Submitted> {
    const hold = options.store.hold();
    try {
      if (draining) throw new AppError('draining', 'The server is stopping and takes no more renders.');
      return await take(await preparation.prepare(submission, hold));
    } catch (error) {
      // What was accepted once stays accepted, even where it would be refused today.
      const known = asAppError(error).code === 'request_id_conflict' ? undefined : await findSame(submission, hold);
      if (known === undefined) throw error;
      return { kind: 'known', render: present(known), replay: await lastEvents(known) };
    } finally {
      hold.release();
    }
  }

  /** The render that has the request's id already, if it is the same request. */
  async function findSame(submission: Submission, hold: Hold): Promise<RenderRecord | undefined> {
    const { caller, request } = submission;
    if (request.request_id === undefined) return undefined;
    const known = await journal.findRender({ id: request.request_id, owner: caller.owner });
    if (known === undefined || known.owner !== caller.owner || known.requestId !== request.request_id) return undefined;
    return known.bodyHash === (await preparation.hashRequest(submission, known.request, hold)) ? known : undefined;
  }

  async function take(render: NewRender): Promise<Submitted> {
    const outcome = await journal.accept({ render, maxQueued: options.maxQueued });
    switch (outcome.kind) {
      case 'conflict':
        throw new AppError('request_id_conflict', 'request_id: another request was accepted under this id before.', {
          issues: [{ path: 'request_id', message: 'belongs to another request' }],
        });
      case 'full':
        throw new AppError('queue_full', `${outcome.queued} renders wait already, as many as the queue holds.`, {
          retryAfterMs: Math.max(1000, runner.statsOf(render.generator).meanMs ?? 0),
        });
      case 'known':
        return { kind: 'known', render: present(outcome.render), replay: await lastEvents(outcome.render) };
      case 'accepted': {
        for (const workId of outcome.stoppedWork) {
          runner.stop(workId, new AppError('superseded', 'A newer request with clear_queue took its place.'));
        }
        runner.wake(render.generator);
        return { kind: 'accepted', render: present(outcome.render), replay: [] };
      }
    }
  }

  /** The last events of a render that is over, to be sent again to a peer that asks again. */
  async function lastEvents(render: RenderRecord): Promise<PublishedEvent[]> {
    if (render.finishedAt === undefined) return [];
    const events = await journal.lastEvents({ renderId: render.id });
    return events.map(hub.publishable);
  }

  async function find(id: string, owner: string): Promise<RenderRecord> {
    const record = await journal.findRender({ id, owner });
    if (record === undefined) throw new AppError('render_not_found', 'There is no render with this id.');
    return record;
  }

  /** Resolves with the render once it is over, or as it is after `ms`, when `signal` aborts or the server stops. */
  async function wait(id: string, owner: string, ms: number, signal?: AbortSignal): Promise<RenderResource> {
    const { id: renderId } = await find(id, owner);
    const over = Promise.withResolvers<void>();
    const unsubscribe = hub.subscribe(({ event }) => {
      if (isLast(event) && 'render_id' in event && event.render_id === renderId) over.resolve();
    });
    const cancelTimer = clock.after(ms, over.resolve);
    waits.add(over.resolve);
    const leave = () => over.resolve();
    signal?.addEventListener('abort', leave);
    try {
      // Looked up after the subscription, so that an end in between is not missed.
      const { finishedAt } = await find(renderId, owner);
      if (finishedAt === undefined && signal?.aborted !== true) await over.promise;
    } finally {
      unsubscribe();
      cancelTimer();
      waits.delete(over.resolve);
      signal?.removeEventListener('abort', leave);
    }
    return present(await find(renderId, owner));
  }

  /** Ends a render unless it is over; says what really happened. Throws `render_not_found`. */
  async function cancel(id: string, owner: string): Promise<{ outcome: CancelOutcome; render: RenderResource }> {
    const { id: renderId } = await find(id, owner);
    const reason = new AppError('cancelled', 'The render was cancelled.');
    const call = { renderId, status: 'cancelled', error: reason.toPublic(), at: clock.now() } as const;
    const { settled, stoppedWork } = await journal.settle(call);
    if (stoppedWork !== undefined) runner.stop(stoppedWork, reason);
    return { outcome: settled ? 'cancelled' : 'already_done', render: present(await find(renderId, owner)) };
  }

  async function listGenerators(): Promise<GeneratorResource[]> {
    const queues = await journal.queueStats({});
    return [...generators].map(([name, served]) =>
      presentGenerator(name, name === options.chooseGenerator(options.defaultGenerator).generator, served, queues),
    );
  }

  return {
    submit,
    wait,
    cancel,
    /** By the server's id or a caller's `request_id`. Throws `render_not_found`. */
    get: async (id: string, owner: string) => present(await find(id, owner)),
    /** Notes that the image was looked at. Throws `image_not_found` or `image_evicted`. */
    async image(imageId: string): Promise<ImageRecord> {
      const record = await journal.findImage({ imageId });
      if (record === undefined) throw new AppError('image_not_found', 'There is no image with this id.');
      if (record.evictedAt !== undefined) throw evicted();
      // Reading goes on while nothing can be written.
      journal.touch({ imageIds: [imageId], at: clock.now() }).catch((error: unknown) => {
        options.log.warn({ err: error, image_id: imageId }, 'the use of an image could not be noted');
      });
      return record;
    },
    generators: listGenerators,
    subscribe: hub.subscribe,
    subscribeProgress: hub.subscribeProgress,
    get lastSeq() {
      return journal.lastSeq;
    },
    logId: journal.logId,
    get draining() {
      return draining;
    },
    /** Takes no more renders, tells everybody, and gives what runs `graceMs` before it goes back to the queue. */
    async drain(graceMs: number): Promise<void> {
      draining = true;
      try {
        await journal.note({ event: { type: 'ServerDraining', grace_ms: graceMs }, at: clock.now() });
      } catch (error) {
        // A journal that takes no more news must not keep the server from stopping.
        options.log.error({ err: error }, 'that the server stops could not be journalled');
      }
      await runner.drain(graceMs);
      for (const end of waits) end();
    },
  };
}

function evicted(): AppError {
  return new AppError('image_evicted', 'The image was here, but its file has been given up.');
}

/** Whether an event is the last of its render. */
export function isLast(event: PublishedEvent['event']): boolean {
  if (event.type === 'ImageReady') return event.index === event.of - 1;
  return event.type === 'RenderFailed' || event.type === 'RenderCancelled';
}
