import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { temporaryDir } from '../helper.ts';
import { ANSWER_CHECKS } from './checks/answers.ts';
import type { Check, Evidence } from './checks/check.ts';
import { EVENT_CHECKS } from './checks/events.ts';
import { FILE_CHECKS } from './checks/files.ts';
import { WORK_CHECKS } from './checks/work.ts';
import type { JournalContent, JournalledEvent } from './journal-file.ts';
import { createLedger } from './ledger.ts';
import type { PlannedRequest } from './plan.ts';
import { createPlan } from './plan.ts';
import { createRandom } from './random.ts';

const CHECKS = [...ANSWER_CHECKS, ...EVENT_CHECKS, ...WORK_CHECKS];

const REQUEST: PlannedRequest = {
  id: 'r1',
  own: { request_id: 'r1', prompt: 'r1: dunes' },
  other: { request_id: 'r1', prompt: 'r1: dunes, another one' },
  clears: false,
};

function event(seq: number, type: string, body: Record<string, unknown> = {}): JournalledEvent {
  return { seq, type, render_id: 'id1', body: { type, render_id: 'id1', request_id: 'r1', ...body } };
}

const STORY = [
  event(1, 'RenderQueued', { generator: 'fal' }),
  event(2, 'RenderStarted', { attempt: 1 }),
  event(3, 'ImageReady', { index: 0, of: 2, generator: 'fal' }),
  event(4, 'ImageReady', { index: 1, of: 2, generator: 'fal' }),
];

const RENDER = {
  ...{ id: 'id1', batch_id: null, work_id: 'w1', status: 'succeeded', generator: 'fal', fallback_from: null },
  error: undefined,
  request: { prompt: 'r1: dunes', metadata: { id: 'r1' } },
};
const ATTEMPT = {
  work_id: 'w1',
  attempt: 1,
  generator: 'fal',
  ended_at: 5,
  outcome: 'succeeded',
  remote_id: 'job1',
  error: undefined,
};
const SUBMIT = { call: 'submit', id: 'job1', prompt: 'r1: dunes' } as const;

/** One render that went as it should, with what a test breaks of it. */
function evidence(journal: Partial<JournalContent> = {}, changes: Partial<Evidence> = {}): Evidence {
  const ledger = createLedger();
  const account = ledger.of(REQUEST);
  account.sent.push('own', 'other');
  account.accepted.push({ variant: 'own', renderId: 'id1' });
  account.conflicts.push('other');
  account.ends.push('succeeded');
  const seen = STORY.map(({ seq, type, body }) => ({ ...body, seq, type }));
  return {
    ledger,
    journal: {
      ...{ renders: [RENDER], works: [{ id: 'w1', status: 'succeeded', generator: 'fal' }], attempts: [ATTEMPT] },
      ...{ events: STORY, images: [], queue_counts: [], logId: 'log', damage: [] },
      ...journal,
    },
    connections: [{ hello: { type: 'Hello', last_seq: 0, log_id: 'log' }, events: seen }],
    ...{ upstream: [SUBMIT], imagesDir: '', crashAttempts: 2, retries: 1, troubles: [] },
    ...changes,
  };
}

async function broken(of: Evidence, checks: readonly Check[] = CHECKS): Promise<string[]> {
  const found = await Promise.all(
    checks.map(async (check) => ((await check.violations(of)).length > 0 ? check.name : '')),
  );
  return found.filter((name) => name !== '');
}

describe('the checks after kills', () => {
  it('find nothing wrong where all went well', async () => {
    expect(await broken(evidence())).toEqual([]);
  });

  it.each<[string, Evidence, string]>([
    ['a render that is gone', evidence({ renders: [] }), 'is in the journal, under the same id'],
    ['a second render of a request', evidence({ renders: [RENDER, { ...RENDER, id: 'id2' }] }), 'is one render'],
    ['a render without work', evidence({ works: [] }), 'is one render'],
    [
      'a body that nobody sent',
      evidence({ renders: [{ ...RENDER, request: { ...RENDER.request, prompt: 'x' } }] }),
      'is one render',
    ],
    ['an end that has changed', evidence({ renders: [{ ...RENDER, status: 'failed' }] }), 'an end that a caller saw'],
    ['no end', evidence({ events: STORY.slice(0, 2) }), 'exactly one end'],
    ['two ends', evidence({ events: [...STORY, event(5, 'RenderFailed')] }), 'exactly one end'],
    ['an image that was not announced', evidence({ events: STORY.slice(0, 3) }), 'exactly one end'],
    [
      'a second start of one attempt',
      evidence({ events: [...STORY.slice(0, 2), event(9, 'RenderStarted', { attempt: 1 })] }),
      'count up',
    ],
    ['an event that clients saw, but the journal lost', evidence({ events: STORY.slice(1) }), 'as it was seen'],
    ['a new journal', evidence({ logId: 'other' }), 'only grow'],
    ['work that was left', evidence({ works: [{ id: 'w1', status: 'running', generator: 'fal' }] }), 'no work is left'],
    ['an attempt after a success', evidence({ attempts: [ATTEMPT, { ...ATTEMPT, attempt: 2 }] }), 'succeeds twice'],
    [
      'a third start after two crashes',
      evidence({
        attempts: [1, 2, 3].map((attempt) => ({ ...ATTEMPT, attempt, outcome: 'crashed', remote_id: null })),
      }),
      'crash_attempts times',
    ],
    [
      'more tries than the retries allow',
      evidence({ attempts: [1, 2, 3].map((attempt) => ({ ...ATTEMPT, attempt, outcome: 'failed' })) }),
      'its retries allow',
    ],
    [
      'a second try of what was refused',
      evidence({
        attempts: [
          { ...ATTEMPT, outcome: 'failed', error: { code: 'content_rejected' } },
          { ...ATTEMPT, attempt: 2 },
        ],
      }),
      'refused for its content',
    ],
    [
      'a fallback that nobody is told of',
      evidence({ renders: [{ ...RENDER, request: { ...RENDER.request, generator: 'mock' } }] }),
      'in the place of another one',
    ],
    [
      'a fallback that was unwanted',
      evidence({
        renders: [
          { ...RENDER, fallback_from: 'fal', request: { ...RENDER.request, generator: 'fal', fallback: false } },
        ],
      }),
      'was not unwanted',
    ],
    ['a job that was submitted again', evidence({}, { upstream: [SUBMIT, { ...SUBMIT, id: 'job2' }] }), 'asked once'],
    [
      'a job that was submitted without a note',
      evidence({ attempts: [{ ...ATTEMPT, outcome: 'crashed', remote_id: null }] }),
      'asked once',
    ],
    [
      'a submit after one that was never heard of',
      evidence({
        attempts: [
          { ...ATTEMPT, outcome: 'crashed', remote_id: 'submitting:1' },
          { ...ATTEMPT, attempt: 2, remote_id: 'job1' },
        ],
      }),
      'not submitted again',
    ],
    ['a job id that no provider gave', evidence({}, { upstream: [] }), 'the provider gave'],
  ])('find %s', async (_what, of, name) => {
    expect(await broken(of)).toContainEqual(expect.stringContaining(name));
  });

  it('find a number that was given twice, and an answer that refuses the render’s own body', async () => {
    const of = evidence();
    const [connection] = of.connections;
    if (connection === undefined) throw new Error('there is a connection');
    const twice = {
      ...of,
      connections: [connection, connection].map((one, at) => ({ ...one, hello: { ...one.hello, last_seq: at } })),
    };
    expect(await broken(twice)).toContainEqual(expect.stringContaining('none is given twice'));
    of.ledger.of(REQUEST).conflicts.push('own');
    expect(await broken(of)).toContainEqual(expect.stringContaining('for its own body only'));
  });

  it('find files that are broken, gone or half-written', async () => {
    const imagesDir = await temporaryDir();
    await mkdir(`${imagesDir}/renders/ab`, { recursive: true });
    await mkdir(`${imagesDir}/tmp`);
    expect(await broken(evidence({ events: [] }, { imagesDir }), FILE_CHECKS)).toEqual([]);
    await writeFile(`${imagesDir}/renders/ab/ab.png`, 'half an image');
    await writeFile(`${imagesDir}/tmp/1-half`, '');
    const names = await broken(evidence({}, { imagesDir }), FILE_CHECKS);
    expect(names).toEqual(FILE_CHECKS.slice(0, 3).map(({ name }) => name));
  });
});

describe('the schedule', () => {
  const rounds = (seed: string) => {
    const next = createPlan(createRandom(seed));
    return Array.from({ length: 30 }, next);
  };

  it('is the same for the same seed, and another for another', () => {
    expect(rounds('a')).toEqual(rounds('a'));
    expect(rounds('a')).not.toEqual(rounds('b'));
  });

  it('has every kind of call', () => {
    const kinds = new Set(rounds('a').flatMap(({ steps }) => steps.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual(['batch', 'cancel', 'clear', 'look', 'pause', 'resume', 'submit', 'wait']);
  });
});
