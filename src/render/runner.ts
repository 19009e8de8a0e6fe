import { AppError } from '../errors.ts';
import type { ServedGenerator } from '../generators/generator.ts';
import type { ClaimedWork } from './journal.ts';
import type { PerformerOptions, Running } from './performer.ts';
import { createPerformer, STORAGE_RETRY_MS } from './performer.ts';
import type { Progress } from './present.ts';

/** What the runner must know about a generator. */
export type Lane = Pick<ServedGenerator, 'generator' | 'concurrency'>;

/** How long a generator may take to stop once the grace is over, in ms. What then still runs is left to recovery. */
const STOP_MS = 2000;

/** Options of `createRunner`. */
export interface RunnerOptions extends Omit<PerformerOptions, 'stopping' | 'stop' | 'onDrawn'> {
  readonly lanes: readonly Lane[];
}

/** Takes work from the journal, has it done, and says what became of it. */
export interface Runner {
  /** Takes what a generator may take now; call it when work came in or the generator became ready. */
  wake(generator: string): void;
  /** Stops work that nobody waits for, and frees its slot once it has stopped. */
  stop(workId: string, reason: AppError): void;
  progressOf(workId: string): Progress | undefined;
  /** How many works of a generator run, and how long one took lately (ms; undefined before the first). */
  statsOf(generator: string): { running: number; meanMs: number | undefined };
  /** Takes no more work; after `graceMs` hands back what still runs. Resolves when nothing runs. */
  drain(graceMs: number): Promise<void>;
}

interface LaneState extends Lane {
  active: number;
  /** Set when work may have come in while the journal was being asked. */
  woken: boolean;
  meanMs: number | undefined;
}

/** Creates the runner: per generator as many works at a time as it allows. */
export function createRunner({ lanes, ...parts }: RunnerOptions): Runner {
  const { journal, clock, log } = parts;
  const states = new Map<string, LaneState>(
    lanes.map((lane) => [lane.generator.name, { ...lane, active: 0, woken: false, meanMs: undefined }]),
  );
  const running = new Map<string, Running>();
  /** Why work was given up whose claim had been committed but not answered yet: there was nothing to stop then. */
  const stoppedEarly = new Map<string, AppError>();
  const finished = new Set<() => void>();
  let claiming = 0;
  let draining = false;
  const perform = createPerformer({ ...parts, stopping: () => draining, stop, onDrawn });

  async function take(lane: LaneState): Promise<void> {
    while (lane.active < lane.concurrency && !draining && isReady(lane)) {
      lane.active += 1;
      lane.woken = false;
      const job = await claim(lane);
      if (job === undefined) {
        free(lane);
        if (!lane.woken) return;
        continue;
      }
      void work(lane, job);
    }
  }

  async function work(lane: LaneState, job: Running): Promise<void> {
    await perform(lane.generator, job);
    running.delete(job.claimed.workId);
    free(lane);
    void take(lane);
  }

  function onDrawn(generator: string, ms: number): void {
    const lane = states.get(generator);
    if (lane !== undefined) lane.meanMs = lane.meanMs === undefined ? ms : 0.8 * lane.meanMs + 0.2 * ms;
  }

  function free(lane: LaneState): void {
    lane.active -= 1;
    for (const check of finished) check();
  }

  async function claim({ generator }: LaneState): Promise<Running | undefined> {
    claiming += 1;
    try {
      const claimed = await journal.claim({ generator: generator.name, at: clock.now() });
      return claimed && register(claimed);
    } catch (error) {
      log.error({ err: error, generator: generator.name }, 'work could not be taken from the journal');
      clock.after(STORAGE_RETRY_MS, () => wake(generator.name));
      return undefined;
    } finally {
      claiming -= 1;
      if (claiming === 0) stoppedEarly.clear();
    }
  }

  function register(claimed: ClaimedWork): Running {
    const job: Running = { claimed, abort: new AbortController(), startedAt: clock.elapsed() };
    const reason = stoppedEarly.get(claimed.workId) ?? (draining ? stopping() : undefined);
    if (reason !== undefined) job.abort.abort(reason);
    running.set(claimed.workId, job);
    return job;
  }

  function wake(generator: string): void {
    const lane = states.get(generator);
    if (lane === undefined) return;
    lane.woken = true;
    void take(lane);
  }

  function stop(workId: string, reason: AppError): void {
    const job = running.get(workId);
    if (job !== undefined) job.abort.abort(reason);
    else if (claiming > 0) stoppedEarly.set(workId, reason);
  }

  return {
    wake,
    stop,
    progressOf: (workId) => running.get(workId)?.progress,
    statsOf(generator) {
      const lane = states.get(generator);
      const count = [...running.values()].filter(({ claimed }) => claimed.generator === generator).length;
      return { running: count, meanMs: lane?.meanMs };
    },
    async drain(graceMs) {
      draining = true;
      const idle = Promise.withResolvers<void>();
      const check = () => {
        if ([...states.values()].every(({ active }) => active === 0)) idle.resolve();
      };
      finished.add(check);
      const handBack = () => {
        for (const workId of running.keys()) stop(workId, stopping());
      };
      const timers = [clock.after(graceMs, handBack), clock.after(graceMs + STOP_MS, idle.resolve)];
      check();
      await idle.promise;
      for (const cancel of timers) cancel();
    },
  };
}

function isReady({ generator }: Lane): boolean {
  return ['ready', 'degraded'].includes(generator.health().state);
}

function stopping(): AppError {
  return new AppError('draining', 'The server is stopping; the render goes back to the queue.');
}
