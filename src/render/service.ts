import { AppError } from '../errors.ts';
import type { CancelOutcome, GeneratorResource, RenderResource } from '../messages/render.ts';
import type { Hub } from './hub.ts';
import { newId } from './ids.ts';
import type { Journal } from './journal.ts';
import type { Links } from './links.ts';
import type { Submission } from './prepare.ts';
import { unknownGenerator } from './prepare.ts';
import { presentGenerator, presentRender } from './present.ts';
import type { Caller, ImageRecord, RenderFilters, RenderRecord } from './records.ts';
import type { Runner } from './runner.ts';
import type { Submitted, SubmittingOptions } from './submitting.ts';
import { createSubmitting } from './submitting.ts';
import { createWaits } from './waits.ts';

/** Options of `createRenderService`. */
export interface RenderServiceOptions extends Omit<SubmittingOptions, 'present' | 'draining'> {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly runner: Runner;
  readonly links: Links;
}

/** A page of renders, newest first. `next` is where the following page begins. */
export interface RenderPage {
  readonly renders: readonly RenderResource[];
  readonly next?: number | undefined;
}

/** The one door to renders: every transport goes through it, none past it. */
export type RenderService = ReturnType<typeof createRenderService>;

/** Creates the door. */
export function createRenderService(options: RenderServiceOptions) {
  const { journal, hub, runner, generators, links, clock } = options;
  const waits = createWaits({ hub, clock });
  let draining = false;
  const present = (record: RenderRecord): RenderResource =>
    presentRender(record, links, runner.progressOf(record.workId));
  const { submitAll } = createSubmitting({ ...options, present, draining: () => draining });

  /**
   * Accepts a render; resolves when it is journalled. The same `request_id` with the same body is the same render.
   * Throws `invalid_request`, `unknown_generator`, `unsupported_field`, `invalid_image`, `uri_not_allowed`,
   * `request_id_conflict`, `idempotency_key_conflict`, `queue_full`, `generator_unavailable`, `draining`,
   * `storage_full` or `storage_failed`.
   */
  async function submit(submission: Submission, idempotencyKey?: string): Promise<Submitted> {
    const [submitted] = await submitAll({ submissions: [submission], idempotencyKey });
    if (submitted === undefined) throw new AppError('internal', 'The request was neither accepted nor refused.');
    return submitted;
  }

  /** Accepts all of the requests, or none. Throws as `submit`, naming the request by its place. */
  async function submitBatch(submissions: readonly Submission[], idempotencyKey?: string) {
    const fresh = newId();
    const submitted = await submitAll({ submissions, idempotencyKey, batchId: fresh });
    // A repetition of the call is the batch that it was the first time.
    const known = submitted.every(({ kind }) => kind === 'known') ? submitted[0]?.render.batch_id : undefined;
    return { batchId: known ?? fresh, submitted };
  }

  async function find(id: string, owner: string): Promise<RenderRecord> {
    const record = await journal.findRender({ id, owner });
    if (record === undefined) throw new AppError('render_not_found', 'There is no render with this id.');
    return record;
  }

  /** Resolves with the render once it is over, or as it is after `ms`, when `signal` aborts or the server stops. */
  async function wait(id: string, owner: string, ms: number, signal?: AbortSignal): Promise<RenderResource> {
    const watch = waits.watch();
    try {
      const found = await find(id, owner);
      if (found.finishedAt !== undefined) return present(found);
      await watch.until(found.id, ms, signal);
      return present(await find(found.id, owner));
    } finally {
      watch.close();
    }
  }

  /** `submit` and `wait` in one, with the render as it is then. */
  async function submitAndWait(
    submission: Submission,
    idempotencyKey: string | undefined,
    { ms, signal }: { readonly ms: number; readonly signal?: AbortSignal },
  ): Promise<Submitted> {
    const watch = waits.watch();
    try {
      const submitted = await submit(submission, idempotencyKey);
      const { id, finished_at } = submitted.render;
      if (finished_at !== undefined) return submitted;
      await watch.until(id, ms, signal);
      return { ...submitted, render: present(await find(id, submission.caller.owner)) };
    } finally {
      watch.close();
    }
  }

  /** Ends a render unless it is over; says what really happened. Throws `render_not_found`. */
  async function cancel(id: string, owner: string): Promise<{ outcome: CancelOutcome; render: RenderResource }> {
    const { id: renderId } = await find(id, owner);
    const reason = new AppError('cancelled', 'The render was cancelled.');
    const call = { renderId, status: 'cancelled', error: reason.toPublic(), at: clock.now() } as const;
    const { settled, stoppedWork, leftJob = false } = await journal.settle(call);
    const stopped = stoppedWork === undefined ? 'stopped' : await runner.stop(stoppedWork, reason);
    const outcome = leftJob || stopped === 'detached' ? 'detached' : 'cancelled';
    return { outcome: settled ? outcome : 'already_done', render: present(await find(renderId, owner)) };
  }

  async function list(filters: RenderFilters, limit: number, before?: number): Promise<RenderPage> {
    const { renders, next } = await journal.listRenders({ filters, limit, before });
    return { renders: renders.map(present), next };
  }

  /** Cancels everything that waits, of one generator or of all; what runs goes on. */
  async function clearQueue(name?: string): Promise<{ cancelled: number }> {
    const generator = name === undefined ? undefined : options.chooseGenerator(name).generator;
    if (generator !== undefined && !generators.has(generator)) throw unknownGenerator([...generators.keys()]);
    const error = new AppError('cancelled', 'The queue was cleared.').toPublic();
    return await journal.clearQueue({ generator, error, at: clock.now() });
  }

  /** Cancels what a caller has waiting for another place than this, but never the caller's newest render. */
  async function supersedeStale(caller: Caller & { era: string; biome: string }): Promise<number> {
    const error = new AppError('superseded', 'The scene has moved on to another era or biome.').toPublic();
    return (await journal.supersedeStale({ ...caller, error, at: clock.now() })).cancelled;
  }

  /** Whether work may begin; kept across restarts. What runs goes on. */
  async function setPaused(paused: boolean): Promise<void> {
    await journal.setPaused({ paused, at: clock.now() });
    if (!paused) runner.wakeAll();
  }

  async function listGenerators(): Promise<GeneratorResource[]> {
    const queues = await journal.queueStats({});
    return [...generators].map(([name, served]) =>
      presentGenerator({
        name,
        isDefault: name === options.chooseGenerator(options.defaultGenerator).generator,
        served,
        health: runner.healthOf(name),
        queues,
      }),
    );
  }

  return {
    submit,
    submitBatch,
    submitAndWait,
    wait,
    cancel,
    list,
    clearQueue,
    supersedeStale,
    pause: () => setPaused(true),
    resume: () => setPaused(false),
    isPaused: () => journal.isPaused({}),
    /** By the server's id or a caller's `request_id`. Throws `render_not_found`. */
    get: async (id: string, owner: string) => present(await find(id, owner)),
    /** Notes that the image was looked at. Throws `image_not_found` or `image_evicted`. */
    async image(imageId: string): Promise<ImageRecord> {
      const record = await journal.findImage({ imageId });
      if (record === undefined) throw new AppError('image_not_found', 'There is no image with this id.');
      if (record.evictedAt !== undefined) throw evicted();
      // Reading goes on while nothing can be written.
      journal.touch({ imageIds: [imageId], at: options.steadyNow() }).catch((error: unknown) => {
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
      waits.endAll();
    },
  };
}

function evicted(): AppError {
  return new AppError('image_evicted', 'The image was here, but its file has been given up.');
}
