import { setMaxListeners } from 'node:events';
import { AppError, asAppError } from '../errors.ts';
import type { GeneratorChoice, GeneratorHealth, ServedGenerator } from '../generators/generator.ts';
import type { Breaker, BreakerState } from './breaker.ts';
import { createBreaker } from './breaker.ts';
import type { EndingOptions } from './endings.ts';
import { createEndings, STORAGE_RETRY_MS } from './endings.ts';
import { createFallbacks } from './fallbacks.ts';
import type { Pace } from './pace.ts';
import { createPace } from './pace.ts';
import type { PerformerOptions } from './performer.ts';
import { createPerformer } from './performer.ts';
import type { Progress } from './present.ts';
import type { Purse } from './purse.ts';
import { createPurse } from './purse.ts';
import type { ClaimedWork, Waiter, WorkSpec } from './records.ts';
import { hasJob, RunningWork } from './running.ts';

/** How many ends of renders are remembered: more than can come before an answer that they overtook. */
const MOST_ENDED = 10_000;

/** How long a generator may take to stop once the grace is over, in ms. What then still runs is left to recovery. */
const STOP_MS = 2000;

/** Options of `createRunner`. */
export interface RunnerOptions
  extends Omit<PerformerOptions, 'endings' | 'onPause'>,
    Omit<EndingOptions, 'fallbacks' | 'stopping' | 'stop' | 'onPassed' | 'store'> {
  readonly generators: ReadonlyMap<string, ServedGenerator>;
  /** `[generator] fallback`. */
  readonly fallback: readonly GeneratorChoice[];
  /** Hears that a generator's state has changed by what its works came to. */
  onState(generator: string, health: GeneratorHealth): void;
  /** Hears that something waits in a fallback's queue. */
  onPassed(): void;
}

/** Takes work from the journal, has it done, and says what became of it. */
export interface Runner {
  /** Takes what a generator may take now; call it when work came in or the generator became ready. */
  wake(generator: string): void;
  /** `wake` for all. */
  wakeAll(): void;
  /**
   * Stops work that nobody waits for, and frees its slot once it has stopped. Resolves with whether the provider may
   * go on, as soon as that is known.
   */
  stop(workId: string, reason: AppError): Promise<'stopped' | 'detached'>;
  /** One more waits for work under way. */
  join(workId: string, waiter: Waiter): void;
  progressOf(workId: string): Progress | undefined;
  /** How a generator is, as far as it knows itself and its works tell. */
  healthOf(generator: string): GeneratorHealth;
  breakerOf(generator: string): Breaker | undefined;
  /** Works that a generator may be given at once; infinite without a limit. */
  tokensOf(generator: string): number;
  /** Whether this generator's work could be done by another one now. */
  hasFallbackFor(generator: string, spec: WorkSpec): boolean;
  /** How many works of a generator run, and how long one took lately (ms; undefined before the first). */
  statsOf(generator: string): { running: number; meanMs: number | undefined; concurrency: number };
  /** Takes no more work; after `graceMs` hands back what still runs. Resolves when nothing runs. */
  drain(graceMs: number): Promise<void>;
}

interface Lane extends ServedGenerator {
  readonly name: string;
  readonly breaker: Breaker;
  readonly pace: Pace;
  readonly purse: Purse;
  /** Slots in use: by works until their images are stored, and by claims. */
  active: number;
  /** Works whose images are stored and not yet in the journal. */
  entering: number;
  /** Set while it waits for its pace. */
  cancelWait: (() => void) | undefined;
  /** Whether something may wait for it; not after the journal had nothing, until it is woken. */
  hopeful: boolean;
  meanMs: number | undefined;
}

/** Creates the runner: per generator as many works at a time as it allows. */
export function createRunner({ generators, fallback, ...parts }: RunnerOptions): Runner {
  const { journal, clock, steadyNow, log } = parts;
  const lanes = new Map([...generators].map(([name, served]) => [name, createLane(name, served)]));
  const running = new Map<string, RunningWork>();
  /** Why work was given up whose claim had been committed but not answered yet: there was nothing to stop then. */
  const stoppedEarly = new Map<string, AppError>();
  /** Ends of late: events come before the answer that says who waits. */
  const ended = new Set<string>();
  const finished = new Set<() => void>();
  let claiming = 0;
  const drained = new AbortController();
  // Each end that the journal does not take yet waits for it.
  setMaxListeners(Number.POSITIVE_INFINITY, drained.signal);
  const fallbacks = createFallbacks({ chain: fallback, generators, breakerOf: (name) => lanes.get(name)?.breaker });
  const endings = createEndings({
    ...parts,
    fallbacks,
    stopping: drained.signal,
    stop: (workId, reason) => void stop(workId, reason),
    onPassed(name) {
      parts.onPassed();
      wake(name);
    },
  });
  const perform = createPerformer({ ...parts, endings, onPause });
  // Whoever has an end of its own waits no longer, while the others go on.
  parts.hub.subscribe(({ event }) => {
    if (event.type !== 'RenderCancelled' && event.type !== 'RenderFailed') return;
    remember(event.render_id);
    for (const work of running.values()) work.leave(event.render_id);
  });

  function remember(renderId: string): void {
    ended.add(renderId);
    const [oldest] = ended;
    if (ended.size > MOST_ENDED && oldest !== undefined) ended.delete(oldest);
  }

  function createLane(name: string, served: ServedGenerator): Lane {
    const onChange = (state: BreakerState, reason: string | undefined) => {
      log.warn({ generator: name, circuit: state, reason }, 'the circuit of a generator has changed');
      parts.onState(name, healthOf(name));
    };
    const breaker = createBreaker({ generator: name, clock, onChange });
    const pace = createPace({ perMinute: served.ratePerMinute, clock });
    const purse = createPurse({ generator: name, dailyUsd: served.dailySpendUsd, journal, clock });
    return {
      ...{ ...served, name, breaker, pace, purse },
      ...{ active: 0, entering: 0, hopeful: true, meanMs: undefined, cancelWait: undefined },
    };
  }

  async function take(lane: Lane): Promise<void> {
    while (lane.hopeful && hasRoom(lane) && !drained.signal.aborted && isReady(lane)) {
      if (mustWait(lane)) return;
      lane.active += 1;
      // Whoever comes in while the journal is asked wakes the lane again.
      lane.hopeful = false;
      const work = await claim(lane);
      if (work === undefined) {
        free(lane);
        continue;
      }
      lane.hopeful ||= work.claimed.more;
      // A job that is there already is asked after, not for.
      if (!hasJob(lane.generator, work)) lane.pace.take();
      void run(lane, work);
    }
  }

  /** Whether the lane's pace lets nothing begin yet; then it is woken in time. */
  function mustWait(lane: Lane): boolean {
    const waitMs = lane.pace.waitMs();
    if (waitMs === 0) return false;
    lane.cancelWait?.();
    lane.cancelWait = clock.after(waitMs, () => {
      lane.cancelWait = undefined;
      wake(lane.name);
    });
    return true;
  }

  /** Entering images into the journal needs no slot: the next work is claimed in the same commit, or drawn meanwhile. */
  async function run(lane: Lane, work: RunningWork): Promise<void> {
    let place: 'active' | 'entering' = 'active';
    work.freeSlot = () => {
      if (place === 'entering') return;
      place = 'entering';
      lane.entering += 1;
      free(lane);
      void take(lane);
    };
    const onStored = (drawnMs: number) => {
      lane.meanMs = lane.meanMs === undefined ? drawnMs : 0.8 * lane.meanMs + 0.2 * drawnMs;
      work.freeSlot();
    };
    await perform(lane, work, onStored);
    // A fallback may have taken it up by now: then the entry is that one's.
    if (running.get(work.claimed.workId) === work) running.delete(work.claimed.workId);
    lane[place] -= 1;
    checkFinished();
    void take(lane);
  }

  /** A server that stops does not wait for what only waits. */
  function onPause(work: RunningWork): void {
    if (drained.signal.aborted && work.isPausing) work.abort.abort(stopping());
  }

  function free(lane: Lane): void {
    lane.active -= 1;
    checkFinished();
  }

  function checkFinished(): void {
    for (const check of finished) check();
  }

  async function claim({ name }: Lane): Promise<RunningWork | undefined> {
    claiming += 1;
    try {
      // It wakes us when images can be stored again.
      if ((await parts.storage.trouble()) !== undefined) return undefined;
      const claimed = await journal.claim({ generator: name, at: clock.now(), steadyAt: steadyNow() });
      return claimed && register(claimed);
    } catch (error) {
      log.error({ err: error, generator: name }, 'work could not be taken from the journal');
      clock.after(STORAGE_RETRY_MS, () => wake(name));
      return undefined;
    } finally {
      claiming -= 1;
      if (claiming === 0) stoppedEarly.clear();
    }
  }

  function register(claimed: ClaimedWork): RunningWork {
    const work = new RunningWork(claimed, clock, (expired, waiter) => void endings.expire(expired, waiter));
    for (const { renderId } of claimed.waiters) if (ended.has(renderId)) work.leave(renderId);
    const reason = stoppedEarly.get(claimed.workId) ?? (drained.signal.aborted ? stopping() : undefined);
    if (reason !== undefined) work.abort.abort(reason);
    running.set(claimed.workId, work);
    return work;
  }

  function wake(name: string): void {
    const lane = lanes.get(name);
    if (lane === undefined) return;
    lane.hopeful = true;
    void take(lane);
  }

  async function stop(workId: string, reason: AppError): Promise<'stopped' | 'detached'> {
    const work = running.get(workId);
    if (work === undefined) {
      if (claiming > 0) stoppedEarly.set(workId, reason);
      return 'stopped';
    }
    work.abort.abort(reason);
    const late = Promise.withResolvers<'late'>();
    const cancel = clock.after(STOP_MS, () => late.resolve('late'));
    const end = await Promise.race([work.over, late.promise]);
    cancel();
    // What does not stop in time and has a job elsewhere may well go on there; what was handed back before surely does.
    const goesOn = end === 'late' || asAppError(work.abort.signal.reason).code === 'draining';
    return work.detached || (goesOn && work.remoteId !== undefined) ? 'detached' : 'stopped';
  }

  function healthOf(name: string): GeneratorHealth {
    const lane = lanes.get(name);
    if (lane === undefined) return { state: 'disabled', reason: 'There is no such generator.' };
    const own = lane.generator.health();
    if (!isReady(lane) || lane.breaker.state === 'closed') return own;
    return { state: lane.breaker.state === 'open' ? 'open' : 'degraded', reason: lane.breaker.reason };
  }

  return {
    wake,
    wakeAll() {
      for (const name of lanes.keys()) wake(name);
    },
    stop,
    join(workId, waiter) {
      if (!ended.has(waiter.renderId)) running.get(workId)?.join(waiter);
    },
    progressOf: (workId) => running.get(workId)?.progress,
    healthOf,
    breakerOf: (name) => lanes.get(name)?.breaker,
    tokensOf: (name) => lanes.get(name)?.pace.tokens ?? 0,
    hasFallbackFor: fallbacks.hasFor,
    statsOf(name) {
      const lane = lanes.get(name);
      const count = [...running.values()].filter(({ claimed }) => claimed.generator === name).length;
      return { running: count, meanMs: lane?.meanMs, concurrency: lane?.concurrency ?? 1 };
    },
    async drain(graceMs) {
      drained.abort();
      for (const lane of lanes.values()) lane.cancelWait?.();
      const idle = Promise.withResolvers<void>();
      const check = () => {
        if ([...lanes.values()].every(({ active, entering }) => active + entering === 0)) idle.resolve();
      };
      finished.add(check);
      for (const work of running.values()) onPause(work);
      const handBack = () => {
        for (const work of running.values()) work.abort.abort(stopping());
      };
      const timers = [clock.after(graceMs, handBack), clock.after(graceMs + STOP_MS, idle.resolve)];
      check();
      await idle.promise;
      for (const cancel of timers) cancel();
    },
  };
}

/** A journal that takes no ends must not be given more and more of them to take: some may wait, no more. */
function hasRoom({ active, entering, concurrency }: Lane): boolean {
  return active < concurrency && entering <= concurrency;
}

function isReady({ generator }: Pick<Lane, 'generator'>): boolean {
  return ['ready', 'degraded'].includes(generator.health().state);
}

function stopping(): AppError {
  return new AppError('draining', 'The server is stopping; the render goes back to the queue.');
}
