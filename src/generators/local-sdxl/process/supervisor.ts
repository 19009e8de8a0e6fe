import { AppError } from '../../../errors.ts';
import type { Clock } from '../../../render/clock.ts';
import type { GeneratorHealth, RawPixels } from '../../generator.ts';
import type { ModelFolder } from '../model/model-folder.ts';
import type { ChildLink, StartChild } from './child-link.ts';
import type { FromChild, LoadFailure, LoadOptions, ModelFacts, RenderJob } from './protocol.ts';
import type { RenderHooks, RenderInputs, Rendering, RenderMessage } from './rendering.ts';
import { crashed, createRendering } from './rendering.ts';

const FIRST_BACK_OFF_MS = 1000;
const LONGEST_BACK_OFF_MS = 60_000;

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
  /** The first model that could be loaded: what to go back to when a later one cannot. */
  let home: ModelFolder | undefined;
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
    try {
      const mine: ChildLink = options.startChild({
        onMessage: (message) => {
          if (child === mine) hear(message);
        },
        onExit: (how) => {
          if (child === mine) end(how);
        },
      });
      child = mine;
      sendModel(mine, model);
    } catch (error) {
      // Some of the system's refusals to start a process are thrown.
      restartLater('The process of the model could not be started.', String(error));
    }
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

  function hearOfRender(job: Rendering, message: RenderMessage): void {
    if (['done', 'stopped', 'failed'].includes(message.kind)) rendering = undefined;
    job.hear(message);
    if (message.kind === 'done') {
      crashes = 0;
      setReady();
    }
    if (message.kind === 'failed' && message.why === 'fatal') restartLater(message.message, message.detail);
  }

  function becomeReady(loaded: ModelFacts): void {
    facts = loaded;
    home ??= model;
    setReady();
    for (const waiter of waiters.splice(0)) waiter.resolve(loaded);
  }

  function setReady(): void {
    const reasons = [...(facts?.notes ?? [])];
    if (crashes > 0) reasons.unshift('The process of the model has died since its last render.');
    setHealth(reasons.length === 0 ? { state: 'ready' } : { state: 'degraded', reason: reasons.join(' ') });
  }

  /** The model will never load. One that was asked for later gives way to the first, which did. */
  function giveUp({ message, detail }: LoadFailure): void {
    model = home;
    const error = new AppError('config_invalid', message, { cause: new Error(detail) });
    const refused = waiters.splice(0);
    if (home === undefined) setHealth({ state: 'disabled', reason: message });
    else if (child !== undefined) sendModel(child, home);
    for (const waiter of refused) waiter.reject(error);
  }

  /** The process is gone. */
  function end(how: string): void {
    child = undefined;
    facts = undefined;
    const job = rendering;
    rendering = undefined;
    job?.die(how);
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

    async render(job, inputs, hooks) {
      const link = child;
      if (closed) throw unavailable();
      if (link === undefined) throw crashed('it died before the work was sent');
      lastId += 1;
      const id = lastId;
      const mine = createRendering({ id, link, job, inputs, hooks });
      hooks.signal.throwIfAborted();
      let cancelKill = (): void => undefined;
      const stop = (): void => {
        void link.send({ kind: 'cancel', id });
        cancelKill = clock.after(options.stopMs, replace);
      };
      hooks.signal.addEventListener('abort', stop, { once: true });
      try {
        rendering = mine;
        mine.begin();
        return await mine.images;
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
