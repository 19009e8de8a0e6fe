import { v7 as uuidv7 } from 'uuid';
import type { FieldIssue } from '../errors.ts';
import { AppError } from '../errors.ts';
import type { ImageGenerator } from '../generators/generator.ts';
import type { ImageFormat, ImageSource } from '../messages/fields.ts';
import type { ProjectRules } from '../messages/projects.ts';
import type { CancelOutcome, GeneratorResource, RenderResource } from '../messages/render.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import type { Clock } from './clock.ts';
import type { Hub, PublishedEvent } from './hub.ts';
import type { Caller, ImageRecord, Journal, NewRender, QueueStats, RenderRecord } from './journal.ts';
import type { Logger } from './logger.ts';
import type { Links } from './present.ts';
import { presentRender } from './present.ts';
import type { InputIds, Mode } from './resolve.ts';
import { acceptedRequest, checkPlace, fitToGenerator, hashBody, resolveWork } from './resolve.ts';
import type { Runner } from './runner.ts';

/** A generator that requests may choose. */
export interface ServedGenerator {
  readonly generator: ImageGenerator;
  readonly concurrency: number;
  /** Default of a render's time from its first start. */
  readonly timeoutMs: number;
}

/** Reads an input image, checks it and keeps it. `path` names the field in errors. */
export type AcceptInput = (
  source: ImageSource,
  rules: { files: boolean },
  path: string,
) => Promise<{ imageId: string }>;

/** Options of `createRenderService`. */
export interface RenderServiceOptions {
  readonly journal: Journal;
  readonly hub: Hub;
  readonly runner: Runner;
  readonly acceptInput: AcceptInput;
  readonly generators: ReadonlyMap<string, ServedGenerator>;
  readonly defaultGenerator: string;
  readonly project: ProjectRules;
  readonly busFormat: ImageFormat;
  readonly maxQueued: number;
  readonly links: Links;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A request at the door. */
export interface Submission {
  readonly caller: Caller;
  readonly request: RenderRequest;
  readonly mode: Mode;
  /** Fields that were dropped before. */
  readonly ignored?: readonly string[];
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
  async function submit({ caller, request, mode, ignored = [] }: Submission): Promise<Submitted> {
    if (draining) throw new AppError('draining', 'The server is stopping and takes no more renders.');
    const { served, name } = chosen(request);
    checkPlace(request, options.project, caller.door);
    const fitted = fitToGenerator(request, name, served.generator.capabilities, mode);
    const inputs = await keepInputs(request, caller, mode);

    const id = uuidv7();
    const accepted = acceptedRequest(request, inputs);
    const render: NewRender = {
      ...caller,
      id,
      requestId: request.request_id ?? id,
      bodyHash: hashBody(accepted),
      request: accepted,
      ignored: [...ignored, ...fitted.ignored],
      generator: name,
      priority: request.priority ?? 0,
      timeoutMs: Math.ceil(request.timeout_s === undefined ? served.timeoutMs : request.timeout_s * 1000),
      clearQueue: request.clear_queue ?? false,
      createdAt: clock.now(),
      // Work is named after the render that it was begun for.
      workId: id,
      spec: resolveWork(fitted.request, usedInputs(fitted.request, inputs), served.generator.sizes, {
        outputFormat: caller.door === 'bus' ? options.busFormat : 'png',
      }),
    };
    return take(render);
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

  function chosen({ generator }: RenderRequest): { served: ServedGenerator; name: string } {
    const name = generator ?? options.defaultGenerator;
    const served = generators.get(name);
    if (served === undefined) {
      const known = [...generators.keys()].join(', ');
      const issues: FieldIssue[] = [{ path: 'generator', message: `must be one of ${known}` }];
      throw new AppError('unknown_generator', `generator: there is none of this name; known are ${known}.`, { issues });
    }
    const { state, reason } = served.generator.health();
    if (state === 'disabled') {
      throw new AppError('generator_unavailable', `The generator ${name} is disabled${reason ? `: ${reason}` : ''}.`);
    }
    return { served, name };
  }

  /** Every input image is checked and durable before the render is accepted: it must survive a crash as well. */
  async function keepInputs(request: RenderRequest, { door }: Caller, mode: Mode): Promise<InputIds> {
    const rules = { files: door === 'bus' && mode === 'tolerant' };
    const keep = async (field: 'reference_image' | 'depth_map' | 'mask') => {
      const source = request[field];
      return source === undefined ? {} : { [field]: (await options.acceptInput(source, rules, field)).imageId };
    };
    return { ...(await keep('reference_image')), ...(await keep('depth_map')), ...(await keep('mask')) };
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
    signal?.addEventListener('abort', () => over.resolve(), { once: true });
    try {
      // Looked up after the subscription, so that an end in between is not missed.
      const { finishedAt } = await find(renderId, owner);
      if (finishedAt === undefined && signal?.aborted !== true) await over.promise;
    } finally {
      unsubscribe();
      cancelTimer();
      waits.delete(over.resolve);
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
    return [...generators].map(([name, served]) => presentGenerator(name, served, queues));
  }

  function presentGenerator(
    name: string,
    { generator, concurrency }: ServedGenerator,
    queues: readonly QueueStats[],
  ): GeneratorResource {
    const { capabilities, sizes } = generator;
    const queue = queues.find((stats) => stats.generator === name);
    return {
      name,
      default: name === options.defaultGenerator,
      ...generator.health(),
      capabilities: {
        image_to_image: capabilities.fields.has('reference_image'),
        controlnet_depth: capabilities.fields.has('depth_map'),
        inpainting: capabilities.fields.has('mask'),
        loras: capabilities.fields.has('loras'),
        negative_prompts: capabilities.fields.has('negative_prompt'),
        seeds: capabilities.seeds,
        batch: capabilities.maxImages > 1,
        previews: capabilities.previews,
      },
      fields: [...capabilities.fields],
      sizes: { default: sizes.default, min: sizes.min, max: sizes.max, multiple_of: sizes.multipleOf },
      concurrency,
      queued: queue?.queued ?? 0,
      running: queue?.running ?? 0,
    };
  }

  return {
    submit,
    wait,
    cancel,
    /** By the server's id or a caller's `request_id`. Throws `render_not_found`. */
    get: async (id: string, owner: string) => present(await find(id, owner)),
    /** Throws `image_not_found`. */
    async image(imageId: string): Promise<ImageRecord> {
      const record = await journal.findImage({ imageId });
      if (record === undefined) throw new AppError('image_not_found', 'There is no image with this id.');
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

/** Whether an event is the last of its render. */
export function isLast(event: PublishedEvent['event']): boolean {
  if (event.type === 'ImageReady') return event.index === event.of - 1;
  return event.type === 'RenderFailed' || event.type === 'RenderCancelled';
}

function usedInputs(request: RenderRequest, inputs: InputIds): InputIds {
  return Object.fromEntries(Object.entries(inputs).filter(([field]) => request[field as keyof InputIds] !== undefined));
}
