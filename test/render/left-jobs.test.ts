import { describe, expect, it, onTestFinished } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { ImageGenerator, LeftCost } from '../../src/generators/generator.ts';
import { createHub } from '../../src/render/hub.ts';
import type { Journal } from '../../src/render/journal.ts';
import { createLeftJobs } from '../../src/render/left-jobs.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { ManualClock } from '../manual-clock.ts';
import { watchEvents } from './event-watch.ts';
import { accept, CANCELLED, claim, find } from './journal-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

const HOUR_MS = 3_600_000;

/** One question after a job, which the test answers. */
interface Question {
  readonly remoteId: string;
  readonly prompt: string;
  readonly at: number;
  readonly signal: AbortSignal;
}

/** What asks after jobs of `draw`, whose provider answers with `answer`. */
async function start(answer: (question: Question) => Promise<LeftCost>) {
  const { journal: real } = await openJournal();
  let underWay = 0;
  const journal = { ...real, leftJobs: counted(real.leftJobs), noteCost: counted(real.noteCost) };
  const clock = new ManualClock();
  const questions: Question[] = [];
  const lines: string[] = [];
  const generator: ImageGenerator = Object.assign(new SteppedGenerator('draw'), {
    costOf: async (...[{ prompt }, remoteId, signal]: Parameters<Required<ImageGenerator>['costOf']>) => {
      const question = { remoteId, prompt, signal, at: clock.elapsed() };
      questions.push(question);
      return await answer(question);
    },
  });
  const write = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`);
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const links = { url: (path: string) => path, uri: (id: string) => id, showPaths: true };
  const hub = createHub({ journal, links, onListenerError: (error) => void lines.push(String(error)) });
  const watch = watchEvents(hub.subscribe);
  const mute = new SteppedGenerator('mute');
  const generators = new Map([generator, mute].map((each) => [each.name, { generator: each }]));
  const leftJobs = createLeftJobs({ journal, hub, generators, clock, log });
  onTestFinished(() => leftJobs.stop());

  function counted<C, R>(call: (argument: C) => Promise<R>): (argument: C) => Promise<R> {
    return (argument) => {
      underWay += 1;
      return call(argument).finally(() => {
        underWay -= 1;
      });
    };
  }

  /** A render that is cancelled while its job, of this id, goes on. */
  async function leave(remoteId: string): Promise<string> {
    const { id } = await accept(journal, { spec: { prompt: `for ${remoteId}` } });
    const work = await claim(journal);
    const at = clock.now();
    await journal.noteRemoteId({ ...work, remoteId });
    await journal.settle({ renderId: id, status: 'cancelled', error: CANCELLED, at });
    await journal.endAttempt({ ...work, outcome: 'detached', at });
    return id;
  }

  /** Lets time pass in steps, and what each begins come to its end. */
  async function pass(ms: number, stepMs = 5000): Promise<void> {
    const end = clock.elapsed() + ms;
    await quiet();
    while (clock.elapsed() < end) {
      await clock.advance(Math.min(stepMs, end - clock.elapsed()));
      await quiet();
    }
  }

  /** Resolves when what is due has been done: between calls of the journal nothing waits for more than promises. */
  async function quiet(): Promise<void> {
    do await clock.advance(0);
    while (underWay > 0);
  }

  return { journal, clock, watch, questions, lines, leftJobs, leave, pass };
}

async function costOf(journal: Journal, id: string): Promise<number | undefined> {
  return (await find(journal, id)).attempts[0]?.costUsd;
}

describe('a job that was left at its provider', () => {
  it('by an earlier process is asked after at the start, and its cost is noted once', async () => {
    const { journal, questions, leftJobs, leave, pass } = await start(async () => 0.25);
    const id = await leave('job-1');
    leftJobs.start();
    await pass(HOUR_MS);
    expect(questions).toMatchObject([{ remoteId: 'job-1', prompt: 'for job-1', at: 0 }]);
    expect(await costOf(journal, id)).toBe(0.25);
    const told = (await journal.eventsAfter({ since: 0, limit: 99 })).filter(({ event }) => event.type === 'CostKnown');
    expect(told).toMatchObject([{ event: { render_id: id, generator: 'draw', attempt: 1, cost_usd: 0.25 } }]);
  });

  it('just now is asked after a little later', async () => {
    const { journal, watch, questions, leftJobs, leave, pass } = await start(async () => 0.25);
    leftJobs.start();
    await pass(60_000);
    const id = await leave('job-1');
    await pass(4999);
    expect(questions).toHaveLength(0);
    await pass(1);
    await watch.until('CostKnown', id);
    expect(questions).toHaveLength(1);
    expect(await costOf(journal, id)).toBe(0.25);
  });

  it('is asked after more and more seldom while it goes on, for a day', async () => {
    const { clock, questions, leftJobs, leave, pass } = await start(async () => 'open');
    await leave('job-1');
    leftJobs.start();
    await pass(635_000);
    await pass(30 * HOUR_MS, 600_000);
    const pauses = questions.slice(1).map(({ at }, index) => at - (questions[index]?.at ?? 0));
    expect(pauses.slice(0, 9)).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600].map((seconds) => seconds * 1000));
    expect(Math.max(...pauses)).toBe(600_000);
    expect(questions.at(-1)?.at).toBeLessThanOrEqual(24 * HOUR_MS);
    expect(questions.at(-1)?.at).toBeGreaterThan(23 * HOUR_MS);
    expect(clock.pending).toBe(0);
  });

  it('is not asked after again when nobody will learn its cost', async () => {
    const gone = new AppError('result_expired', 'The provider does not know the job any more.');
    const answers = [
      async () => 'unknown' as const,
      () => Promise.reject(gone),
      () => Promise.reject(new Error('bug')),
    ];
    for (const answer of answers) {
      const { clock, questions, leftJobs, leave, pass } = await start(answer);
      await leave('job-1');
      leftJobs.start();
      await pass(HOUR_MS);
      expect(questions).toHaveLength(1);
      expect(clock.pending).toBe(0);
    }
  });

  it('waits while the provider is away, which is asked for one job only', async () => {
    let away = true;
    const { journal, watch, questions, leftJobs, leave, pass } = await start(async () => {
      if (away) throw new AppError('upstream_failed', 'No connection.');
      return 0.5;
    });
    const ids = [await leave('job-1'), await leave('job-2'), await leave('job-3')];
    leftJobs.start();
    await pass(4999);
    expect(questions).toHaveLength(1);
    away = false;
    await pass(1);
    await watch.untilCount('CostKnown', 3);
    for (const id of ids) expect(await costOf(journal, id)).toBe(0.5);
    expect(questions).toHaveLength(4);
  });

  it('does not stand before the others when there is never an answer for it', async () => {
    const { journal, clock, watch, questions, leftJobs, leave, pass } = await start(async ({ remoteId }) => {
      if (remoteId === 'broken') throw new AppError('upstream_failed', 'Trouble there.');
      return 0.5;
    });
    const ids = [await leave('job-1'), await leave('job-2')];
    // The newest one.
    await clock.advance(1);
    await leave('broken');
    leftJobs.start();
    await pass(4999);
    expect(questions.map(({ remoteId }) => remoteId)).toEqual(['broken']);
    await pass(1);
    await watch.untilCount('CostKnown', 2);
    for (const id of ids) expect(await costOf(journal, id)).toBe(0.5);
  });

  it('does not keep the server from stopping', async () => {
    const asked = Promise.withResolvers<void>();
    const { clock, questions, lines, leftJobs, leave } = await start(({ signal }) => {
      asked.resolve();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    await leave('job-1');
    await leave('job-2');
    leftJobs.start();
    await clock.advance(0);
    await asked.promise;
    await leftJobs.stop();
    expect(questions).toHaveLength(1);
    expect(clock.pending).toBe(0);
    expect(lines).toEqual([]);
  });

  it('is looked for again later when the journal fails', async () => {
    const { journal, clock, questions, lines, leftJobs, leave } = await start(async () => 'open');
    await leave('job-1');
    await journal.close();
    leftJobs.start();
    await clock.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(lines).toEqual(['warn the jobs that were left at providers could not be looked for']);
    expect([questions.length, clock.pending]).toEqual([0, 1]);
    await leftJobs.stop();
    expect(clock.pending).toBe(0);
  });
});
