import { AppError } from '../../../errors.ts';
import type { Clock } from '../../../render/clock.ts';
import type { GeneratorHealth, RawPixels } from '../../generator.ts';
import type { ModelFolder } from '../model/model-folder.ts';
import type { ChildLink, StartChild } from './child-link.ts';
import type { FromChild, LoadFailure, LoadOptions, ModelFacts, RenderJob } from './protocol.ts';
import type { Receiver } from './transfer.ts';
import { createReceiver, sendPixels } from './transfer.ts';

const FIRST_BACK_OFF_MS = 1000;
const LONGEST_BACK_OFF_MS = 60_000;

/** How a render talks to whoever waits for it. */
export interface RenderHooks {
  readonly signal: AbortSignal;
  onProgress(progress: { readonly step: number; readonly steps: number; readonly stepMs: number }): void;
  wantsPreview(): boolean;
  onPreview(preview: { readonly step: number; readonly steps: number; readonly pixels: RawPixels }): void;
}

/** What a render looks at. */
export interface RenderInputs {
  readonly reference: RawPixels | undefined;
  readonly depth: RawPixels | undefined;
}

/** Options of `createModelProcess`. */
export interface ModelProcessOptions {
  readonly startChild: StartChild;
  readonly clock: Clock;
  readonly load: LoadOptions;
  /** How long a stopped render may take to finish its step before its process is killed. */
  readonly stopMs: number;
  /** Hears that `health` has changed. */
  onHealth(): void;
  /** Hears why a process ended that nobody ended. */
  onCrash(how: string): void;
}

/** The process that holds the model; started again when it dies. */
export interface ModelProcess {
  health(): GeneratorHealth;
  /**
   * Has this model loaded, instead of another one; resolves when it can render. While it cannot for lack of memory, or
   * because its process dies, it is tried again. Rejects with `config_invalid` when it never can, with the signal's reason, and with
   * `generator_unavailable` once closed.
   */
  load(model: ModelFolder, signal?: AbortSignal): Promise<ModelFacts>;
  /**
   * Renders one image a seed; one job at a time. Rejects with `generator_crashed` when the process dies, with the
   * signal's reason once the work has stopped.
   */
  render(job: RenderJob, inputs: RenderInputs, hooks: RenderHooks): Promise<RawPixels[]>;
  close(): Promise<void>;
}

interface Rendering {
  readonly id: number;
  readonly receiver: Receiver;
  readonly hooks: RenderHooks;
  previews: boolean;
  resolve(images: RawPixels[]): void;
  reject(error: unknown): void;
}

interface Waiter {
  resolve(facts: ModelFacts): void;
  reject(error: unknown): void;
}

/** Creates the supervisor; the first process starts with the first model. */
export function createModelProcess(options: ModelProcessOptions): ModelProcess {
  const { clock } = options;
  let child: ChildLink | undefined;
  let model: ModelFolder | undefined;
  let facts: ModelFacts | undefined;
  let health: GeneratorHealth = { state: 'starting', reason: 'The model is not loaded yet.' };
  let rendering: Rendering | undefined;
  let waiters: Waiter[] = [];
  let crashes = 0;
  let everReady = false;
  let lastId = 0;
  /** Of the load that counts: answers to an earlier one come too late. */
  let loadId = 0;
  let closed = false;
  /** Set while we end the process ourselves: its end is no crash then. */
  let replacing = false;
  let cancelRestart = (): void => undefined;

  function setHealth(next: GeneratorHealth): void {
    if (closed && next.state !== 'disabled') return;
    if (health.state === next.state && health.reason === next.reason) return;
    health = next;
    if (!closed) options.onHealth();
  }

  function start(): void {
    if (closed || model === undefined) return;
    facts = undefined;
    replacing = false;
    setHealth({ state: 'starting', reason: 'The process of the model starts.' });
    const mine = options.startChild({
      onMessage: (message) => {
        if (child === mine) hear(message);
      },
      onExit: (how) => {
        if (child === mine) end(how);
      },
    });
    child = mine;
    sendModel(mine, model);
  }

  function sendModel(link: ChildLink, wanted: ModelFolder): void {
    lastId += 1;
    loadId = lastId;
    void link.send({ kind: 'load', id: loadId, model: wanted, options: options.load });
  }

  function hear(message: FromChild): void {
    switch (message.kind) {
      case 'loading':
      case 'loaded':
      case 'not-loaded':
        if (message.id === loadId) hearOfLoading(message);
        return;
      default:
        if (message.id === rendering?.id) hearOfRender(rendering, message);
    }
  }

  function hearOfLoading(message: Extract<FromChild, { kind: 'loading' | 'loaded' | 'not-loaded' }>): void {
    switch (message.kind) {
      case 'loading':
        setHealth({ state: 'starting', reason: `Loading ${message.graph}, ${message.index + 1} of ${message.of}.` });
        return;
      case 'loaded':
        becomeReady(message.facts);
        return;
      case 'not-loaded':
        if (message.why === 'broken') giveUp(message);
        else restartLater(message.message, message.detail);
    }
  }

  function hearOfRender(job: Rendering, message: Extract<FromChild, { id: number }>): void {
    const { hooks, receiver } = job;
    const stopped = hooks.signal.aborted;
    switch (message.kind) {
      case 'progress':
        if (stopped) return;
        hooks.onProgress({ step: message.step, steps: message.steps, stepMs: message.stepMs });
        if (!hooks.signal.aborted) tellPreviews(job);
        return;
      case 'preview': {
        if (stopped || !hooks.wantsPreview() || hooks.signal.aborted) return;
        const { step, steps, width, height, data } = message;
        hooks.onPreview({ step, steps, pixels: { data, width, height, channels: 3 } });
        return;
      }
      case 'chunk':
        receiver.take(message);
        return;
      case 'done':
        crashes = 0;
        setReady();
        settle(job, () => (stopped ? job.reject(hooks.signal.reason) : job.resolve(receiver.finish())));
        return;
      case 'stopped':
        settle(job, () => job.reject(hooks.signal.reason));
        return;
      case 'failed':
        settle(job, () => job.reject(stopped ? hooks.signal.reason : renderError(message)));
        if (message.why === 'fatal') restartLater(message.message, message.detail);
    }
  }

  function settle(job: Rendering, how: () => void): void {
    if (rendering === job) rendering = undefined;
    how();
  }

  /** Pixels of previews cross the processes only while somebody looks. */
  function tellPreviews(job: Rendering): void {
    const wanted = job.hooks.wantsPreview();
    if (wanted === job.previews || job.hooks.signal.aborted) return;
    job.previews = wanted;
    void child?.send({ kind: 'previews', id: job.id, wanted });
  }

  function becomeReady(loaded: ModelFacts): void {
    facts = loaded;
    everReady = true;
    setReady();
    for (const waiter of waiters.splice(0)) waiter.resolve(loaded);
  }

  function setReady(): void {
    const reasons = [...(facts?.notes ?? [])];
    if (crashes > 0) reasons.unshift('The process of the model has died since its last render.');
    setHealth(reasons.length === 0 ? { state: 'ready' } : { state: 'degraded', reason: reasons.join(' ') });
  }

  /** The model will never load. One that was asked for later takes nothing from the first. */
  function giveUp({ message, detail }: LoadFailure): void {
    model = undefined;
    setHealth({ state: everReady ? 'degraded' : 'disabled', reason: message });
    const error = new AppError('config_invalid', message, { cause: new Error(detail) });
    for (const waiter of waiters.splice(0)) waiter.reject(error);
  }

  /** The process is gone. */
  function end(how: string): void {
    child = undefined;
    facts = undefined;
    const job = rendering;
    rendering = undefined;
    job?.reject(job.hooks.signal.aborted ? job.hooks.signal.reason : crashed(how));
    if (replacing) start();
    else if (!closed) restartLater('The process of the model has died.', how);
  }

  /** A new process takes the place of this one, after a while: what killed one may kill the next. */
  function restartLater(why: string, how: string): void {
    const old = child;
    child = undefined;
    facts = undefined;
    void old?.kill();
    crashes += 1;
    const waitMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (crashes - 1));
    setHealth({ state: 'starting', reason: `${why} It is started again in ${waitMs / 1000} s.` });
    options.onCrash(how);
    cancelRestart();
    cancelRestart = clock.after(waitMs, start);
  }

  /** Ends the process for a new one, at once: it did not stop when it was told to. */
  function replace(): void {
    replacing = true;
    void child?.kill();
  }

  function unavailable(): AppError {
    return new AppError('generator_unavailable', 'The generator local_sdxl is not running.');
  }

  return {
    health: () => health,

    async load(wanted, signal) {
      if (closed) throw unavailable();
      if (wanted === model && facts !== undefined) return facts;
      if (wanted !== model) {
        model = wanted;
        facts = undefined;
        cancelRestart();
        if (child === undefined) start();
        else sendModel(child, wanted);
      }
      return await new Promise((resolve, reject) => {
        const leave = (): void => {
          waiters = waiters.filter((other) => other !== waiter);
          reject(signal?.reason);
        };
        const stay = (settled: () => void): void => {
          signal?.removeEventListener('abort', leave);
          settled();
        };
        const waiter: Waiter = {
          resolve: (loaded) => stay(() => resolve(loaded)),
          reject: (error) => stay(() => reject(error)),
        };
        signal?.addEventListener('abort', leave, { once: true });
        waiters.push(waiter);
      });
    },

    async render(job, { reference, depth }, hooks) {
      const link = child;
      if (closed) throw unavailable();
      if (link === undefined) throw crashed('it died before the work was sent');
      lastId += 1;
      const id = lastId;
      const sizes = job.seeds.map(() => ({ width: job.width, height: job.height }));
      const previews = hooks.wantsPreview();
      hooks.signal.throwIfAborted();
      let cancelKill = (): void => undefined;
      const stop = (): void => {
        void link.send({ kind: 'cancel', id });
        cancelKill = clock.after(options.stopMs, replace);
      };
      hooks.signal.addEventListener('abort', stop, { once: true });
      try {
        return await new Promise((resolve, reject) => {
          rendering = { id, receiver: createReceiver(sizes), hooks, previews, resolve, reject };
          void link.send({ kind: 'render', id, job, reference: sizeOf(reference), depth: sizeOf(depth), previews });
          void sendInputs(
            link,
            id,
            [reference, depth].filter((pixels) => pixels !== undefined),
          );
        });
      } finally {
        hooks.signal.removeEventListener('abort', stop);
        cancelKill();
      }
    },

    async close() {
      closed = true;
      cancelRestart();
      setHealth({ state: 'disabled', reason: 'The generator local_sdxl is closed.' });
      for (const waiter of waiters.splice(0)) waiter.reject(unavailable());
      await child?.kill();
    },
  };
}

async function sendInputs(link: ChildLink, id: number, inputs: readonly RawPixels[]): Promise<void> {
  for (const [index, { data }] of inputs.entries()) await sendPixels(link.send, { id, index, data });
}

function sizeOf(pixels: RawPixels | undefined) {
  return pixels && { width: pixels.width, height: pixels.height };
}

function crashed(how: string): AppError {
  const message = 'The process of the model has died, perhaps for lack of memory; it is started again.';
  return new AppError('generator_crashed', message, { cause: new Error(how) });
}

function renderError({ why, message, detail }: Extract<FromChild, { kind: 'failed' }>): AppError {
  const cause = new Error(detail);
  switch (why) {
    case 'request':
      return new AppError('invalid_request', message, { cause });
    case 'fatal':
      return new AppError('generator_crashed', message, { cause });
    case 'output':
      return new AppError('generator_failed', message, { cause, retryable: false });
    case 'error':
      return new AppError('generator_failed', message, { cause });
  }
}
