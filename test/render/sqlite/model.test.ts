import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Journal } from '../../../src/render/journal.ts';
import { storyFault } from '../../faults/checks/events.ts';
import { allEvents, recover } from '../journal-fixtures.ts';
import { JournalModel } from '../journal-model/model.ts';
import { anyStep, CRASH_ATTEMPTS, GENERATORS, take } from '../journal-model/steps.ts';
import { openJournal } from './open.ts';

/** Each has a journal on the disk of its own. */
const RUNS = 12;
/** It waits for the disk some thousand times, ms. */
const PATIENCE_MS = 300_000;

/** What anybody can ask of a journal is as the model says. */
async function expectSame(journal: Journal, model: JournalModel): Promise<void> {
  const places = new Map(
    GENERATORS.flatMap((generator) => model.waiting(generator).map(({ id }, at) => [id, at + 1] as const)),
  );
  const found = await Promise.all(model.renders.map(({ id }) => journal.findRender({ id, owner: 'ann' })));
  expect(found.map((render) => [render?.status, render?.generator, render?.queuePosition])).toEqual(
    model.renders.map(({ status, generator, workId }) => [
      status,
      generator,
      status === 'queued' ? places.get(workId) : undefined,
    ]),
  );
  const stats = await journal.queueStats({});
  const counted = Object.fromEntries(stats.map(({ generator, queued, running }) => [generator, { queued, running }]));
  for (const generator of GENERATORS) {
    const running = model.works.filter((work) => work.generator === generator && work.status === 'running').length;
    const queued = model.waiting(generator).length;
    expect(counted[generator] ?? { queued: 0, running: 0 }).toEqual({ queued, running });
  }
}

/** The event log tells every render that is over from its beginning to its one end. */
async function expectStories(journal: Journal, model: JournalModel): Promise<void> {
  const events = (await allEvents(journal)).map(({ event }) => ({
    seq: event.seq,
    type: event.type,
    render_id: 'render_id' in event ? event.render_id : null,
    body: { ...event },
  }));
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, at) => at + 1));
  for (const { id, status } of model.renders) {
    const story = events.filter(({ render_id }) => render_id === id);
    if (status !== 'queued' && status !== 'running') expect(storyFault(story, status)).toBeUndefined();
  }
}

it('does what a model of renders and works does, whatever comes in whatever order, across crashes too', {
  timeout: PATIENCE_MS,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60, size: 'max' }), async (steps) => {
      const opened = await openJournal();
      let journal = opened.journal;
      const model = new JournalModel();
      for (const step of steps) {
        if (step.do === 'crash') {
          journal = await opened.reopen();
          const recovered = await recover(journal, { crashAttempts: CRASH_ATTEMPTS, generators: GENERATORS });
          expect(recovered).toEqual(model.recover(CRASH_ATTEMPTS));
        } else await take(step, journal, model);
        await expectSame(journal, model);
      }
      await expectStories(journal, model);
      await journal.close();
    }),
    { numRuns: RUNS },
  );
});
