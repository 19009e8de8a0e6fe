import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createSteadyTime } from '../../src/render/clock.ts';
import { createQueueTimeouts } from '../../src/render/queue-timeouts.ts';
import { temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { startStepped } from './service-fixtures.ts';

const DAY_MS = 86_400_000;
const silent = () => undefined;

describe('the time-outs of the queue', () => {
  /** On a journal that says what the test wants: what waits, by when it will have waited too long. */
  const start = () => {
    const clock = new ManualClock();
    const steadyNow = createSteadyTime(clock);
    const lines: string[] = [];
    const looks: number[] = [];
    const log = {
      debug: silent,
      info: silent,
      warn: silent,
      error: (_: object, line: string) => void lines.push(line),
    };
    const state = { nextAt: undefined as number | undefined, broken: false };
    const expireQueued = async ({ steadyAt }: { steadyAt: number }) => {
      looks.push(clock.elapsed());
      if (state.broken) throw new AppError('storage_full', 'No room.');
      const due = state.nextAt !== undefined && state.nextAt <= steadyAt;
      if (due) state.nextAt = undefined;
      return { expired: due ? 1 : 0, nextAt: state.nextAt };
    };
    const timeouts = createQueueTimeouts({ journal: { expireQueued }, clock, steadyNow, log });
    return { clock, timeouts, looks, lines, state, from: steadyNow() };
  };

  it('look when the first one is due, with one timer for all', async () => {
    const { timeouts, clock, looks, from } = start();
    timeouts.expect(from + 500);
    timeouts.expect(from + 900);
    timeouts.expect(from + 100);
    expect(clock.pending).toBe(1);
    await clock.advance(99);
    expect(looks).toEqual([]);
    await clock.advance(1);
    expect(looks).toEqual([100]);
  });

  it('keep to one timer however often they look, and to none once they have stopped', async () => {
    const { timeouts, clock, state, from, looks } = start();
    state.nextAt = from + 10_000;
    for (let look = 0; look < 5; look += 1) await timeouts.look();
    expect(clock.pending).toBe(1);
    timeouts.stop();
    expect(clock.pending).toBe(0);
    timeouts.expect(from + 1);
    await timeouts.look();
    await clock.advance(20_000);
    expect([clock.pending, looks.length]).toEqual([0, 6]);
  });

  it('look again a second after trouble', async () => {
    const { timeouts, clock, looks, lines, state, from } = start();
    state.broken = true;
    timeouts.expect(from + 100);
    await clock.advance(100);
    state.broken = false;
    state.nextAt = from + 100;
    await clock.advance(1000);
    expect(looks).toEqual([100, 1100]);
    expect(lines).toEqual(['what waits for too long could not be ended']);
    expect(clock.pending).toBe(0);
  });
});

describe('a render that waits', () => {
  it('fails when its queue_timeout_s is over, and its place is free', async () => {
    const { submit, generator, watch, clock, renders } = await startStepped();
    const running = await submit({ timeout_s: 1000 });
    await generator.call(1);
    const { render } = await submit({ queue_timeout_s: 5 });
    const patient = await submit({ queue_timeout_s: 50 });
    await clock.advance(4999);
    expect((await renders.get(render.id, 'ann')).status).toBe('queued');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'queue_timeout', retryable: true });
    expect(await renders.get(patient.render.id, 'ann')).toMatchObject({ status: 'queued', queue_position: 1 });
    // What runs, or is over, is none of its business.
    await clock.advance(45_000);
    await watch.until('RenderFailed', patient.render.id);
    expect((await renders.get(running.render.id, 'ann')).status).toBe('running');
    generator.calls[0]?.finish();
    await watch.until('ImageReady', running.render.id);
    expect(generator.calls.length).toBe(1);
  });

  it('waits as long as the configuration says when it says nothing', async () => {
    const { submit, generator, watch, clock } = await startStepped({ config: { generator: { queue_timeout_s: 3 } } });
    await submit();
    await generator.call(1);
    const { render } = await submit();
    await clock.advance(3000);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'queue_timeout' });
  });

  it.each([DAY_MS, -DAY_MS])('is not moved by a wall clock that is set by %i ms', async (jump) => {
    const { submit, generator, watch, clock, renders } = await startStepped();
    await submit({ timeout_s: 1000 });
    await generator.call(1);
    const before = await submit({ queue_timeout_s: 10 });
    await clock.advance(4000);
    clock.jump(jump);
    const after = await submit({ queue_timeout_s: 10 });
    await clock.advance(5999);
    expect((await renders.get(before.render.id, 'ann')).status).toBe('queued');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', before.render.id)).toMatchObject({ code: 'queue_timeout' });
    await clock.advance(3999);
    expect((await renders.get(after.render.id, 'ann')).status).toBe('queued');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', after.render.id)).toMatchObject({ code: 'queue_timeout' });
  });

  it('has one time for its wait, over a restart', async () => {
    const dir = await temporaryDir();
    const first = await startStepped({ dir });
    await first.renders.pause();
    const { render } = await first.submit({ queue_timeout_s: 10 });
    await first.clock.advance(4000);
    await first.stop();
    // The new clock begins when the old one did.
    const { clock, watch, renders } = await startStepped({ dir });
    await clock.advance(9999);
    expect((await renders.get(render.id, 'ann')).status).toBe('queued');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'queue_timeout' });
  });
});

describe('a render that runs', () => {
  it.each([DAY_MS, -DAY_MS])(
    'has its whole time and tells true durations when the clock is set by %i ms',
    async (jump) => {
      const { submit, generator, watch, clock, renders } = await startStepped();
      const { render } = await submit({ timeout_s: 10 });
      await generator.call(1);
      await clock.advance(4000);
      clock.jump(jump);
      await clock.advance(5999);
      expect((await renders.get(render.id, 'ann')).status).toBe('running');
      generator.calls[0]?.finish();
      expect(await watch.until('ImageReady', render.id)).toMatchObject({ timings: { render_ms: 9999 } });
      expect(await watch.until('AttemptEnded', render.id)).toMatchObject({ duration_ms: 9999 });
    },
  );

  it('has what is left of its time after a restart, whatever the wall clock says', async () => {
    const dir = await temporaryDir();
    const first = await startStepped({ dir });
    const { render } = await first.submit({ timeout_s: 10 });
    await first.generator.call(1);
    first.clock.jump(DAY_MS);
    await first.clock.advance(2000);
    await first.stop();
    const { generator, clock, watch, renders } = await startStepped({ dir });
    await generator.call(1);
    // 2 s, and the second of grace.
    await clock.advance(6999);
    expect((await renders.get(render.id, 'ann')).status).toBe('running');
    await clock.advance(1);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'render_timeout' });
  });
});
