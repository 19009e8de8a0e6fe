import { describe, expect, it } from 'vitest';
import { eventBodies } from '../../src/messages/events.ts';
import { renderStatus } from '../../src/messages/outputs.ts';
import { cancel, fail, handBack, queuedEvent, REACHED_FROM, start, succeed } from '../../src/render/job.ts';
import { AT, CANCELLED, FAILURE, images } from './journal-fixtures.ts';

const JOB = {
  id: 'r-1',
  requestId: 'visit',
  generator: 'draw',
  request: { prompt: 'a delta', era: 'modern', biome: 'river', num_images: 2 },
  createdAt: AT,
  startedAt: AT + 30,
} as const;
const SPENT = { renderMs: 20, storeMs: 3 };

const CHANGES = [
  start(JOB, 1, AT),
  handBack(AT, 0),
  succeed(JOB, images(2), SPENT, AT),
  fail(JOB, FAILURE, AT),
  cancel(JOB, CANCELLED, AT),
];

describe('a render’s status', () => {
  it('goes these ways and no others', () => {
    const ways = renderStatus.options.flatMap((to) => REACHED_FROM[to].map((from) => `${from} -> ${to}`));
    expect(ways.toSorted()).toEqual([
      'queued -> cancelled',
      'queued -> failed',
      'queued -> running',
      'queued -> succeeded',
      'running -> cancelled',
      'running -> failed',
      'running -> queued',
      'running -> succeeded',
    ]);
  });

  it('is final once it is succeeded, failed or cancelled', () => {
    const left = new Set<string>(Object.values(REACHED_FROM).flat());
    for (const status of ['succeeded', 'failed', 'cancelled']) expect(left.has(status)).toBe(false);
  });

  it('has a setter for every status', () => {
    expect(CHANGES.map(({ to }) => to).toSorted()).toEqual([...renderStatus.options].toSorted());
  });
});

describe('the events of a change', () => {
  it('are what their schemas say', () => {
    for (const event of [queuedEvent(JOB, 3, 2, 'miss'), ...CHANGES.flatMap(({ events }) => events)]) {
      const { type, ...body } = event;
      expect(eventBodies[type].strict().parse(body)).toEqual(body);
    }
  });

  it('name the render by both of its ids', () => {
    for (const event of [queuedEvent(JOB, 3, 2, 'miss'), ...CHANGES.flatMap(({ events }) => events)]) {
      expect(event).toMatchObject({ render_id: 'r-1', request_id: 'visit' });
    }
  });

  it('tell an end for each final status and none for the others', () => {
    expect(CHANGES.map(({ events }) => events.map(({ type }) => type))).toEqual([
      ['RenderStarted'],
      [],
      ['ImageReady', 'ImageReady'],
      ['RenderFailed'],
      ['RenderCancelled'],
    ]);
  });

  it('leave out what the request did not say', () => {
    const { era: _, biome: _b, num_images: _n, ...request } = JOB.request;
    expect(queuedEvent({ ...JOB, request }, 0, 1, 'bypass')).toEqual({
      type: 'RenderQueued',
      render_id: 'r-1',
      request_id: 'visit',
      generator: 'draw',
      cache: 'bypass',
      priority: 0,
      num_images: 1,
    });
  });
});

describe('timings', () => {
  it('tell the wait until the first start', () => {
    expect(succeed(JOB, images(), SPENT, AT + 99).timings).toEqual({ queued_ms: 30, render_ms: 20, store_ms: 3 });
  });

  it('are never negative, though the wall clock may jump back', () => {
    const job = { ...JOB, startedAt: AT - 500 };
    expect(succeed(job, images(), SPENT, AT).timings?.queued_ms).toBe(0);
  });
});
