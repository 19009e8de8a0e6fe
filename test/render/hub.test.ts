import { describe, expect, it } from 'vitest';
import type { RenderProgress } from '../../src/messages/events.ts';
import type { PublishedEvent } from '../../src/render/hub.ts';
import { createHub } from '../../src/render/hub.ts';
import type { Links } from '../../src/render/links.ts';
import type { LoggedEvent } from '../../src/render/records.ts';

const IMAGE = 'c'.repeat(64);

function logged(seq: number): LoggedEvent {
  const time = '2026-11-22T06:00:00.000Z';
  return { owner: 'ann', door: 'rest', event: { seq, time, type: 'ServerDraining', grace_ms: seq } };
}

const ready: LoggedEvent = {
  owner: 'bus',
  door: 'bus',
  event: {
    seq: 9,
    time: '2026-11-22T06:00:00.000Z',
    type: 'ImageReady',
    render_id: 'r',
    request_id: 'q',
    prompt: 'x',
    image_id: IMAGE,
    url: `/v1/images/${IMAGE}`,
    width: 64,
    height: 64,
    format: 'jpeg',
    seed: 1,
    generator: 'draw',
    index: 0,
    of: 1,
    cached: false,
    timings: { queued_ms: 0, render_ms: 1, store_ms: 1 },
  },
};

const progress: RenderProgress = {
  type: 'RenderProgress',
  time: '2026-11-22T06:00:00.000Z',
  render_id: 'r',
  request_id: 'q',
  generator: 'draw',
  step: 1,
  steps: 4,
  fraction: 0.25,
  eta_ms: 10,
};

function start({ showPaths = true } = {}) {
  const emit: ((events: readonly LoggedEvent[]) => void)[] = [];
  const errors: unknown[] = [];
  const links: Links = {
    url: (path) => `http://server${path}`,
    uri: (imageId, format) => `file:///images/${imageId}.${format}`,
    showPaths,
  };
  const hub = createHub({
    journal: { onEvents: (listener) => void emit.push(listener) },
    links,
    onListenerError: (error) => errors.push(error),
  });
  return { hub, errors, commit: (...events: LoggedEvent[]) => emit.map((tell) => tell(events)) };
}

describe('the hub', () => {
  it('tells every listener every event in order', () => {
    const { hub, commit } = start();
    const [one, two]: [number[], number[]] = [[], []];
    hub.subscribe(({ event }) => one.push(event.seq));
    hub.subscribe(({ event }) => two.push(event.seq));
    commit(logged(1), logged(2));
    commit(logged(3));
    expect(one).toEqual([1, 2, 3]);
    expect(two).toEqual(one);
  });

  it('goes on when a listener throws, and says what it threw', () => {
    const { hub, commit, errors } = start();
    const heard: number[] = [];
    const bad = new Error('bad listener');
    hub.subscribe(() => {
      throw bad;
    });
    hub.subscribe(({ event }) => heard.push(event.seq));
    commit(logged(1), logged(2));
    expect(heard).toEqual([1, 2]);
    expect(errors).toEqual([bad, bad]);

    hub.subscribeProgress(() => {
      throw bad;
    });
    const steps: number[] = [];
    hub.subscribeProgress(({ step }) => steps.push(step));
    hub.progress(progress);
    expect(steps).toEqual([1]);
    expect(errors.length).toBe(3);
  });

  it('is silent to who has left, also in the middle of an event', () => {
    const { hub, commit } = start();
    const heard: string[] = [];
    const leave = hub.subscribe(({ event }) => {
      heard.push(`first ${event.seq}`);
      leave();
      leaveToo();
    });
    const leaveToo = hub.subscribe(({ event }) => heard.push(`second ${event.seq}`));
    hub.subscribe(({ event }) => heard.push(`third ${event.seq}`));
    commit(logged(1), logged(2));
    expect(heard).toEqual(['first 1', 'third 1', 'third 2']);
    const leaveProgress = hub.subscribeProgress(() => heard.push('progress'));
    leaveProgress();
    hub.progress(progress);
    expect(heard.length).toBe(3);
  });

  it('hands on whose an event is, and the event as one line of JSON', () => {
    const { hub, commit } = start();
    const heard: PublishedEvent[] = [];
    hub.subscribe((event) => heard.push(event));
    commit(logged(1));
    expect(heard).toMatchObject([{ owner: 'ann', door: 'rest' }]);
    expect(JSON.parse(heard[0]?.json ?? '')).toEqual(logged(1).event);
    expect(heard[0]?.json).not.toContain('ann');
  });

  it('makes an image’s address absolute and names its file', () => {
    const published = start().hub.publishable(ready);
    const shown = { url: `http://server/v1/images/${IMAGE}`, uri: `file:///images/${IMAGE}.jpeg` };
    expect(published.event).toMatchObject(shown);
    expect(JSON.parse(published.json)).toEqual({ ...ready.event, ...shown });
  });

  it('hides the path from those who may not see it, but not from the bus', () => {
    const { hub, commit } = start({ showPaths: false });
    const heard: PublishedEvent[] = [];
    hub.subscribe((event) => heard.push(event));
    commit(ready);
    expect(heard[0]?.json).not.toContain('file://');
    expect(JSON.parse(heard[0]?.json ?? '')).toMatchObject({ url: `http://server/v1/images/${IMAGE}` });
    expect(heard[0]?.event).toMatchObject({ uri: `file:///images/${IMAGE}.jpeg` });
  });
});
