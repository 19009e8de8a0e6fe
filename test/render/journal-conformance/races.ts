import { describe, expect, it } from 'vitest';
import type { RenderStatus } from '../../../src/messages/outputs.ts';
import type { Journal } from '../../../src/render/journal.ts';
import type { ClaimedWork, LoggedEvent, RenderRecord } from '../../../src/render/records.ts';
import type { OpenJournal } from '../journal-conformance.ts';
import {
  AT,
  accept,
  accepted,
  acceptOne,
  allEvents,
  CANCELLED,
  claim,
  ends,
  FAILURE,
  find,
  newRender,
  succeeded,
  TIMEOUT,
} from '../journal-fixtures.ts';

/** A render that runs, alone with its generator and owner. */
interface Course {
  readonly render: RenderRecord;
  readonly work: ClaimedWork;
}

/** One way for a running render to end; resolves with whether it was this one. */
interface Ending {
  readonly status: RenderStatus;
  run(journal: Journal, course: Course): Promise<boolean>;
}

const ENDINGS = {
  'the work succeeds': {
    status: 'succeeded',
    run: async (journal, { work, render }) =>
      (await journal.finish({ ...work, result: succeeded(2), at: AT })).settled.includes(render.id),
  },
  'the work fails': {
    status: 'failed',
    run: async (journal, { work, render }) =>
      (await journal.finish({ ...work, result: { kind: 'failed', error: FAILURE }, at: AT })).settled.includes(
        render.id,
      ),
  },
  'the time is over': {
    status: 'failed',
    run: async (journal, { render }) =>
      (await journal.settle({ renderId: render.id, status: 'failed', error: TIMEOUT, at: AT })).settled,
  },
  'its caller cancels': {
    status: 'cancelled',
    run: async (journal, { render }) =>
      (await journal.settle({ renderId: render.id, status: 'cancelled', error: CANCELLED, at: AT })).settled,
  },
  'a newer one clears the queue': {
    status: 'cancelled',
    run: async (journal, { render: { owner, generator, workId } }) => {
      const newer = newRender({ owner, generator, clearQueue: true });
      return accepted(await acceptOne(journal, newer, 1e6)).stoppedWork.includes(workId);
    },
  },
  'the server stops': {
    // Not an end: the render waits again.
    status: 'queued',
    run: async (journal, { work }) => {
      await journal.release({ ...work, at: AT });
      return false;
    },
  },
} as const satisfies Record<string, Ending>;
type Name = keyof typeof ENDINGS;
const NAMES = Object.keys(ENDINGS) as Name[];
const PAIRS = NAMES.flatMap((first) => NAMES.map((second) => [first, second] as const));

/** Two ends at once, and all of them: exactly one is the end. */
export function racesOfJournal(open: OpenJournal): void {
  describe('when ends race', () => {
    it('the first of any two decides, in either order', async () => {
      const { journal } = await open();
      for (const [number, [first, second]] of PAIRS.entries()) {
        const course = await running(journal, number);
        const won = [await ENDINGS[first].run(journal, course), await ENDINGS[second].run(journal, course)];

        // Work that was handed back is nobody's: its late result counts for nothing, and it can be taken again.
        const released = first === 'the server stops';
        const late = released && second.startsWith('the work');
        const wanted = late ? 'queued' : ENDINGS[released ? second : first].status;
        const order = `${first}, then ${second}`;
        expect((await find(journal, course.render.id)).status, order).toBe(wanted);
        expect(won.filter(Boolean).length, order).toBe(wanted === 'queued' ? 0 : 1);
        await finishIfQueued(journal, course);
        await expectOneEnd(journal, [course]);
      }
    });

    it('any two at the same time make one end', async () => {
      const { journal } = await open();
      const courses = await Promise.all(PAIRS.map((_, number) => running(journal, number)));
      await Promise.all(
        courses.flatMap((course, number) => (PAIRS[number] ?? []).map((name) => ENDINGS[name].run(journal, course))),
      );
      for (const course of courses) await finishIfQueued(journal, course);
      await expectOneEnd(journal, courses);
    });

    it('all of them in every order make one end', async () => {
      const { journal } = await open();
      const orders = permutations(NAMES);
      expect(orders.length).toBe(720);
      const courses = await Promise.all(orders.map((_, number) => running(journal, number)));
      const won = await Promise.all(
        courses.map((course, number) =>
          Promise.all((orders[number] ?? []).map((name) => ENDINGS[name].run(journal, course))),
        ),
      );
      for (const each of won) expect(each.filter(Boolean).length).toBe(1);
      await expectOneEnd(journal, courses);
    });

    it('a cancel before, with or after the claim leaves nothing to do', async () => {
      const { journal } = await open();
      const cancelled = async (order: readonly ('claim' | 'cancel')[], number: number) => {
        const generator = `draw-${number}`;
        const render = await accept(journal, { generator });
        const steps = {
          claim: () => journal.claim({ generator, at: AT, steadyAt: AT }),
          cancel: () => journal.settle({ renderId: render.id, status: 'cancelled', error: CANCELLED, at: AT }),
        };
        const [claimed, left] = await Promise.all(
          order[0] === 'claim' ? [steps.claim(), steps.cancel()] : swap([steps.cancel(), steps.claim()]),
        );
        expect(left).toEqual({ settled: true, stoppedWork: render.workId });
        const work = claimed ?? { workId: render.workId, attempt: 1 };
        expect((await journal.finish({ ...work, result: succeeded(), at: AT })).settled).toEqual([]);
        expect(await journal.claim({ generator, at: AT, steadyAt: AT })).toBeUndefined();
        return {
          render,
          work: { ...work, generator, spec: newRender().spec, shared: false, more: false, failures: {}, waiters: [] },
        };
      };
      const courses = await Promise.all([cancelled(['claim', 'cancel'], 1), cancelled(['cancel', 'claim'], 2)]);
      await expectOneEnd(journal, courses);
    });
  });
}

async function running(journal: Journal, number: number): Promise<Course> {
  const generator = `draw-${number}`;
  const render = await accept(journal, { generator, owner: `owner-${number}` });
  return { render, work: await claim(journal, generator) };
}

/** Only a render that the server handed back may be unfinished; it must then be there to be taken again. */
async function finishIfQueued(journal: Journal, { render }: Course): Promise<void> {
  const { status } = await find(journal, render.id);
  if (status !== 'queued') return;
  const again = await claim(journal, render.generator);
  expect(again).toMatchObject({ workId: render.workId, attempt: 2 });
  await journal.finish({ ...again, result: succeeded(), at: AT });
}

async function expectOneEnd(journal: Journal, courses: readonly Course[]): Promise<void> {
  const events = Map.groupBy(await allEvents(journal), ({ event }) => ('render_id' in event ? event.render_id : ''));
  for (const { render } of courses) {
    const own: readonly LoggedEvent[] = events.get(render.id) ?? [];
    const last = own.filter(({ event }) => ends(event, render.id)).map(({ event }) => event.type);
    const { status, images, error, finishedAt } = await find(journal, render.id);
    const told = { succeeded: 'ImageReady', failed: 'RenderFailed', cancelled: 'RenderCancelled' };
    expect(Object.keys(told)).toContain(status);
    expect(last).toEqual([told[status as keyof typeof told]]);
    expect(finishedAt).toBe(AT);
    expect(images.length > 0).toBe(status === 'succeeded');
    expect(error === undefined).toBe(status === 'succeeded');
    const attempts = own.flatMap(({ event }) => (event.type === 'AttemptEnded' ? [event.attempt] : []));
    expect(new Set(attempts).size).toBe(attempts.length);
    const more = await journal.claim({ generator: render.generator, at: AT, steadyAt: AT });
    expect(more?.workId).not.toBe(render.workId);
  }
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}

function swap<A, B>([a, b]: readonly [A, B]): [B, A] {
  return [b, a];
}
