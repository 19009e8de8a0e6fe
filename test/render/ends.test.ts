import { expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { Caller } from '../../src/render/records.ts';
import { ends } from './journal-fixtures.ts';
import type { SteppedServer } from './service-fixtures.ts';
import { startStepped } from './service-fixtures.ts';

const TIMEOUT_S = 10;
const IMPATIENT: Caller = { owner: 'impatient', door: 'rest' };
const FICKLE: Caller = { owner: 'fickle', door: 'rest' };
const LATEST: Caller = { owner: 'latest', door: 'rest' };

/** One work that three wait for: one who will cancel, one whose time is short, and one who will want something newer. */
interface Course {
  readonly server: SteppedServer;
  readonly seed: number;
  /** How many calls the generator had got before. */
  readonly before: number;
  readonly fickle: string;
  /** Every render of the course, with its owner. */
  readonly renders: Map<string, string>;
}

const STEPS = {
  'its caller cancels': async ({ server: { renders }, fickle }) => {
    await renders.cancel(fickle, FICKLE.owner);
  },
  'the time is over': async ({ server: { clock } }) => {
    await clock.advance(TIMEOUT_S * 1000);
  },
  'a newer one clears the queue': async ({ server: { submit }, seed, renders }) => {
    const newer = await submit({ seed: seed + 1e6, clear_queue: true }, { caller: LATEST });
    renders.set(newer.render.id, LATEST.owner);
  },
  'the operator clears the queue': async ({ server: { renders } }) => {
    await renders.clearQueue();
  },
  'the work is done': async ({ server: { generator }, before }) => {
    (await generator.call(before + 1)).finish();
  },
  'the attempt fails': async ({ server: { generator }, before }) => {
    (await generator.call(before + 1)).fail(new AppError('upstream_failed', 'no paint'));
  },
} as const satisfies Record<string, (course: Course) => Promise<void>>;
type Name = keyof typeof STEPS;
const ENDS: ReadonlySet<string> = new Set(['ImageReady', 'RenderFailed', 'RenderCancelled']);

const NAMES = Object.keys(STEPS) as Name[];
/** The work ends well, or its first attempt fails; what the operator clears waits, and nothing here waits for long. */
const ORDERS = (['the work is done', 'the attempt fails'] as const).flatMap((end) =>
  permutations(['its caller cancels', 'the time is over', 'a newer one clears the queue', end] as const),
);

it('every order of cancel, time-out, clearing, completion and failure ends each render once', {
  timeout: 300_000,
}, async () => {
  expect(ORDERS.length).toBe(48);
  const server = await startStepped({ config: { generator: { retries: 1 } } });
  for (const [number, order] of ORDERS.entries()) {
    const course = await begin(server, number);
    // Each begins before the one before it has had an answer.
    await Promise.all(order.map((name) => STEPS[name](course)));
    await windUp(course);
    expectOneEnd(course, order);
  }
});

it('each of any two of them that come one after the other has its say in turn', { timeout: 300_000 }, async () => {
  const server = await startStepped({ config: { generator: { retries: 1 } } });
  const pairs = NAMES.flatMap((first) =>
    NAMES.filter((name) => name !== first).map((second) => [first, second] as const),
  );
  for (const [number, pair] of pairs.entries()) {
    const course = await begin(server, number);
    for (const name of pair) await STEPS[name](course);
    await windUp(course);
    expectOneEnd(course, pair);
  }
});

async function begin(server: SteppedServer, seed: number): Promise<Course> {
  const { submit, generator } = server;
  const before = generator.calls.length;
  const fickle = await submit({ seed }, { caller: FICKLE });
  const impatient = await submit({ seed, timeout_s: TIMEOUT_S }, { caller: IMPATIENT });
  const latest = await submit({ seed }, { caller: LATEST });
  await generator.call(before + 1);
  const renders = new Map(
    [fickle, impatient, latest].map(({ render }, at) => [render.id, [FICKLE, IMPATIENT, LATEST][at]?.owner ?? '']),
  );
  return { server, seed, before, fickle: fickle.render.id, renders };
}

/** Lets whatever still goes on come to its end. */
async function windUp({ server, renders }: Course): Promise<void> {
  const { generator, clock } = server;
  for (;;) {
    const all = await Promise.all([...renders].map(([id, owner]) => server.renders.get(id, owner)));
    const stats = await server.renders.generators();
    const idle = stats.every(({ queued, running }) => queued + running === 0);
    if (idle && all.every(({ finished_at }) => finished_at !== undefined)) return;
    for (const step of generator.calls) step.finish();
    await clock.advance(500);
  }
}

function expectOneEnd({ server: { watch }, renders }: Course, order: readonly Name[]): void {
  for (const [id, owner] of renders) {
    const types = watch.typesOf(id);
    const told = watch.events.filter((event) => ends(event, id)).length;
    expect(told, `${owner}: ${types.join()} after ${order.join(', ')}`).toBe(1);
    // The end is the last word about a render; only attempts, which are told by the first one's name, end after it.
    const after = types.slice(types.findIndex((type) => ENDS.has(type)) + 1);
    expect(
      after.every((type) => type === 'AttemptEnded'),
      order.join(', '),
    ).toBe(true);
  }
  const attempts = watch.events.flatMap((event) =>
    event.type === 'AttemptEnded' ? [`${event.render_id} ${event.attempt}`] : [],
  );
  expect(new Set(attempts).size, order.join(', ')).toBe(attempts.length);
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}
