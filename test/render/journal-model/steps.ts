import * as fc from 'fast-check';
import { expect } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import { AT, acceptOne, CANCELLED, FAILURE, images, newRender } from '../journal-fixtures.ts';
import type { JournalModel, ModelWork } from './model.ts';

/** Generators whose work is drawn, handed on and cleared. */
export const GENERATORS = ['draw', 'paint'] as const;
/** Starts of a work that the process may die in. */
export const CRASH_ATTEMPTS = 2;
const MOST_QUEUED = 8;

const generator = fc.constantFrom('draw' as const, 'draw' as const, 'paint' as const);
const which = fc.nat(1000);

/** One call of the journal, as data; renders and works are named by a number that is taken modulo how many there are. */
export const anyStep = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('accept' as const),
      request: fc.nat(60),
      body: fc.constantFrom('body', 'body', 'body', 'other'),
      generator,
      priority: fc.constantFrom(-1, 0, 0, 0, 1),
      door: fc.constantFrom('rest' as const, 'bus' as const),
      clears: fc.nat(14).map((chance) => chance === 0),
      key: fc.constantFrom(undefined, '0a', '0b', '0c'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('claim' as const), generator }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      render: which,
      status: fc.constantFrom('failed' as const, 'cancelled' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      work: which,
      // An attempt that is over in the meantime must change nothing.
      late: fc.constantFrom(0, 0, 0, 1),
      kind: fc.constantFrom('succeeded' as const, 'failed' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), work: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), work: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fallBack' as const), work: which, to: generator }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('clear' as const), generator: fc.option(generator, { nil: undefined }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('pause' as const),
      paused: fc.constantFrom(true, false, false, false, false),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
);
/** A step of `anyStep`. */
export type JournalStep = typeof anyStep extends fc.Arbitrary<infer S> ? S : never;

const TIME = { at: AT, steadyAt: AT };

/** Has the journal and the model take a step, and expects the same of both. `crash` is the caller's: it reopens. */
export async function take(
  step: Exclude<JournalStep, { do: 'crash' }>,
  journal: Journal,
  model: JournalModel,
): Promise<void> {
  if (step.do === 'accept') return await takeAccept(step, journal, model);
  if (step.do === 'claim') {
    const wanted = model.claim(step.generator);
    const work = await journal.claim({ generator: step.generator, ...TIME });
    const waiters = wanted && model.waiters(wanted).map(({ id }) => id);
    expect(work && [work.workId, work.attempt, work.waiters.map(({ renderId }) => renderId)]).toEqual(
      wanted && [wanted.id, wanted.attempt, waiters],
    );
    return;
  }
  if (step.do === 'clear') {
    const { cancelled } = await journal.clearQueue({ generator: step.generator, error: CANCELLED, at: AT });
    expect(cancelled).toBe(model.clearQueue(step.generator));
    return;
  }
  if (step.do === 'pause') {
    model.paused = step.paused;
    await journal.setPaused({ paused: step.paused, at: AT });
    return;
  }
  if (step.do === 'settle') {
    const render = model.renders[step.render % model.renders.length];
    if (render === undefined) return;
    const wanted = model.settle(render, step.status);
    const error = step.status === 'failed' ? FAILURE : CANCELLED;
    expect(await journal.settle({ renderId: render.id, status: step.status, error, at: AT })).toEqual(wanted);
    return;
  }
  const begun = model.works.filter(({ attempt }) => attempt > 0);
  const work = begun[step.work % begun.length];
  if (work !== undefined) await takeWork(step, work, journal, model);
}

type WorkStep = Extract<JournalStep, { do: 'finish' | 'retry' | 'release' | 'fallBack' }>;

async function takeWork(step: WorkStep, work: ModelWork, journal: Journal, model: JournalModel): Promise<void> {
  const held = { workId: work.id, attempt: work.attempt };
  switch (step.do) {
    case 'finish': {
      const attempt = work.attempt - step.late;
      const result =
        step.kind === 'failed'
          ? { kind: step.kind, error: FAILURE }
          : { kind: step.kind, images: images(2), renderMs: 20, storeMs: 3 };
      const { settled } = await journal.finish({ ...held, attempt, result, at: AT });
      expect(settled).toEqual(model.finish(work, attempt, step.kind));
      return;
    }
    case 'retry': {
      await journal.endAttempt({ ...held, outcome: 'failed', error: FAILURE, at: AT });
      expect(await journal.beginAttempt({ ...held, at: AT })).toBe(model.beginAttempt(work, held.attempt));
      return;
    }
    case 'release': {
      await journal.release({ ...held, at: AT });
      model.release(work, held.attempt);
      return;
    }
    case 'fallBack': {
      const to = { generator: step.to, spec: newRender().spec, ignored: [] };
      const { passed } = await journal.fallBack({ ...held, to, error: FAILURE, outcome: 'failed', ...TIME });
      expect(passed).toBe(model.fallBack(work, held.attempt, step.to));
    }
  }
}

async function takeAccept(
  { request, body, clears, key, ...rest }: Extract<JournalStep, { do: 'accept' }>,
  journal: Journal,
  model: JournalModel,
): Promise<void> {
  const { generator: name, priority, door } = rest;
  const render = newRender({
    ...{ generator: name, priority, door },
    requestId: `r${request}`,
    bodyHash: body,
    clearQueue: clears,
    // Keys of two generators differ, since the generator is part of what makes work equal.
    ...(key === undefined ? {} : { cacheKey: `${name === 'draw' ? '01' : '02'}${key}` }),
  });
  const wanted = model.accept(render, MOST_QUEUED);
  const outcome = await acceptOne(journal, render, MOST_QUEUED);
  if (outcome.kind === 'accepted') {
    const { kind, cache, stoppedWork } = outcome;
    expect({ kind, id: outcome.render.id, cache, stoppedWork }).toEqual(wanted);
  } else if (outcome.kind === 'known') expect({ kind: outcome.kind, id: outcome.render.id }).toEqual(wanted);
  else expect(outcome).toMatchObject(wanted);
}
