import { AppError } from '../errors.ts';
import type { LeftCost, ServedGenerator, Work } from '../generators/generator.ts';
import type { Clock } from './clock.ts';
import type { Hub } from './hub.ts';
import type { Journal } from './journal.ts';
import type { Logger } from './logger.ts';
import type { LeftJob } from './records.ts';

/** Pause before a job is asked after once more; each further one is twice as long. In ms. */
const FIRST_PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 600_000;
/** How long after its attempt a job is asked after, in ms: a day. */
const PATIENCE_MS = 86_400_000;
/** Most jobs that are asked after, the newest ones. */
const MOST_JOBS = 1000;

/** How a job is asked after. */
interface Plan {
  /** When next, by the clock's `elapsed`; never, when all is known that can be. */
  dueAt: number;
  pauseMs: number;
  /** How often it was. */
  asked: number;
}

/** Options of `createLeftJobs`. */
export interface LeftJobsOptions {
  readonly journal: Pick<Journal, 'leftJobs' | 'noteCost'>;
  readonly hub: Pick<Hub, 'subscribe'>;
  readonly generators: ReadonlyMap<string, Pick<ServedGenerator, 'generator'>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Asks after jobs that were left at providers. */
export interface LeftJobs {
  /** Looks for what earlier processes have left, and from then on for what is left now. */
  start(): void;
  /** Resolves when nothing is asked any more. */
  stop(): Promise<void>;
}

/**
 * Creates what learns the cost of jobs that nobody waits for any more, since providers may go on with them and bill. Which
 * there are stands in the journal, so that a restart forgets none. One is asked after at a time, each more and more seldom.
 */
export function createLeftJobs({ journal, hub, generators, clock, log }: LeftJobsOptions): LeftJobs {
  const stopping = new AbortController();
  let plans = new Map<string, Plan>();
  let timer: { readonly at: number; cancel(): void } | undefined;
  let round = Promise.resolve();
  let unsubscribe = () => {};

  function lookIn(ms: number): void {
    const at = clock.elapsed() + ms;
    if (stopping.signal.aborted || (timer !== undefined && timer.at <= at)) return;
    timer?.cancel();
    const cancel = clock.after(ms, () => {
      timer = undefined;
      round = round.then(look);
    });
    timer = { at, cancel };
  }

  async function look(): Promise<void> {
    try {
      const jobs = await list();
      const now = clock.elapsed();
      plans = new Map(
        jobs.map((job) => [keyOf(job), plans.get(keyOf(job)) ?? { dueAt: now, pauseMs: FIRST_PAUSE_MS, asked: 0 }]),
      );
      await askAfter(jobs.filter((job) => planOf(job).dueAt <= now));
      const nextAt = Math.min(...[...plans.values()].map(({ dueAt }) => dueAt));
      if (nextAt < Number.POSITIVE_INFINITY) lookIn(Math.max(0, nextAt - clock.elapsed()));
    } catch (error) {
      if (stopping.signal.aborted) return;
      log.warn({ err: error }, 'the jobs that were left at providers could not be looked for');
      lookIn(LONGEST_PAUSE_MS);
    }
  }

  function list(): Promise<readonly LeftJob[]> {
    const asking = [...generators].filter(([, { generator }]) => generator.costOf !== undefined);
    const names = asking.map(([name]) => name);
    return journal.leftJobs({ generators: names, since: clock.now() - PATIENCE_MS, limit: MOST_JOBS });
  }

  async function askAfter(jobs: readonly LeftJob[]): Promise<void> {
    const silent = new Set<string>();
    // Those first whose turn has not come yet: one that never gets an answer must not stand before the others.
    for (const job of jobs.toSorted((one, other) => planOf(one).asked - planOf(other).asked)) {
      stopping.signal.throwIfAborted();
      const plan = planOf(job);
      // A provider that does not answer for one job hardly does so for the next.
      const isAsked = !silent.has(job.generator);
      if (isAsked) plan.asked += 1;
      const cost = isAsked ? await costOf(job) : 'silent';
      if (cost === 'silent') silent.add(job.generator);
      if (cost === 'open' || cost === 'silent') postpone(plan);
      else plan.dueAt = Number.POSITIVE_INFINITY;
      if (typeof cost === 'number') {
        await journal.noteCost({ workId: job.workId, attempt: job.attempt, costUsd: cost, at: clock.now() });
      }
    }
  }

  async function costOf(job: LeftJob): Promise<LeftCost | 'silent'> {
    const { generator } = generators.get(job.generator) ?? {};
    try {
      return (await generator?.costOf?.(workOf(job), job.remoteId, stopping.signal)) ?? 'unknown';
    } catch (error) {
      stopping.signal.throwIfAborted();
      const passes = error instanceof AppError && error.retryable;
      const context = { generator: job.generator, work_id: job.workId, err: error };
      if (passes) log.debug(context, 'a job that was left at its provider could not be asked after');
      else log.warn(context, 'what a job cost that was left at its provider cannot be found out');
      return passes ? 'silent' : 'unknown';
    }
  }

  function planOf(job: LeftJob): Plan {
    return plans.get(keyOf(job)) ?? { dueAt: 0, pauseMs: FIRST_PAUSE_MS, asked: 0 };
  }

  function postpone(plan: Plan): void {
    plan.dueAt = clock.elapsed() + plan.pauseMs;
    plan.pauseMs = Math.min(LONGEST_PAUSE_MS, plan.pauseMs * 2);
  }

  return {
    start() {
      unsubscribe = hub.subscribe(({ event }) => {
        // A render may also end while its job waits for the next start's attempt.
        const ended = event.type === 'RenderCancelled' || event.type === 'RenderFailed';
        if (ended || (event.type === 'AttemptEnded' && event.outcome === 'detached')) lookIn(FIRST_PAUSE_MS);
      });
      lookIn(0);
    },
    async stop() {
      unsubscribe();
      timer?.cancel();
      stopping.abort(new AppError('draining', 'The server stops.'));
      await round;
    },
  };
}

function keyOf({ workId, attempt }: LeftJob): string {
  return `${workId} ${attempt}`;
}

/** Without its input images, which cost nothing. */
function workOf({ workId, spec }: LeftJob): Work {
  const { outputFormat: _, quality: _q, referenceImage: _r, depthMap: _d, mask: _m, ...same } = spec;
  return { ...same, workId };
}
