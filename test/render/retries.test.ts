import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AppErrorOptions, ErrorCode } from '../../src/errors.ts';
import { AppError } from '../../src/errors.ts';
import { pause } from '../../src/render/pause.ts';
import { retryDelay } from '../../src/render/retries.ts';
import { temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { find } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';
import { startStepped } from './service-fixtures.ts';

const failure = (code: ErrorCode = 'upstream_failed', options?: AppErrorOptions) =>
  new AppError(code, 'no paint', options);

describe('the pause before a retry', () => {
  const always = { failures: 1, retries: 3, leftMs: Infinity, random: () => 1 };

  it('is a second, and twice as long each time, up to half a minute', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 50].map((failures) =>
      retryDelay(failure(), { ...always, failures, retries: 100 }),
    );
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('is between half and all of that, as chance has it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
        const options = { ...always, failures, retries: 100 };
        const most = retryDelay(failure(), options) ?? 0;
        const delay = retryDelay(failure(), { ...options, random: () => chance }) ?? 0;
        expect(delay).toBeGreaterThanOrEqual(most / 2);
        expect(delay).toBeLessThanOrEqual(most);
      }),
    );
  });

  it('is not shorter than the provider asks for', () => {
    expect(retryDelay(failure('upstream_rate_limited', { retryAfterMs: 7000 }), always)).toBe(7000);
    expect(retryDelay(failure('upstream_rate_limited', { retryAfterMs: 10 }), always)).toBe(1000);
  });

  it('is none when nobody waits that long', () => {
    expect(retryDelay(failure(), { ...always, leftMs: 1000 })).toBeUndefined();
    expect(retryDelay(failure(), { ...always, leftMs: 1001 })).toBe(1000);
    expect(retryDelay(failure('upstream_failed', { retryAfterMs: 5000 }), { ...always, leftMs: 4000 })).toBeUndefined();
  });

  it('is none when the retries are used up', () => {
    expect(retryDelay(failure(), { ...always, failures: 3 })).toBe(4000);
    expect(retryDelay(failure(), { ...always, failures: 4 })).toBeUndefined();
    expect(retryDelay(failure(), { ...always, retries: 0 })).toBeUndefined();
  });

  it.each([
    'content_rejected',
    'invalid_output',
    'outcome_unknown',
    'upstream_auth',
    'generator_unavailable',
    'render_timeout',
    'crashed',
    'draining',
  ] as const)('is none after %s', (code) => {
    expect(retryDelay(failure(code), always)).toBeUndefined();
  });

  it('follows what the error says of itself', () => {
    expect(retryDelay(failure('upstream_failed', { retryable: false }), always)).toBeUndefined();
  });
});

describe('a pause', () => {
  it('ends with its time, or at once when it is broken off, and leaves no timer', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const whole = pause(clock, 1000, signal);
    await clock.advance(1000);
    await whole;
    const abort = new AbortController();
    const broken = pause(clock, 1000, abort.signal);
    abort.abort();
    await broken;
    await pause(clock, 1000, AbortSignal.abort());
    expect(clock.pending).toBe(0);
  });
});

describe('a failed attempt', () => {
  it('is followed by others after longer and longer pauses, and each of them is told', async () => {
    const { submit, generator, clock, watch, journal, states } = await startRunner({ retries: 2 });
    const { id } = await submit();
    const first = await generator.call(1);
    first.hooks.onProgress({ step: 1, steps: 2 });
    first.fail(failure());
    await watch.untilCount('AttemptEnded', 1);
    await clock.advance(999);
    expect(generator.calls.length).toBe(1);
    await clock.advance(1);
    (await generator.call(2)).fail(failure('generator_failed'));
    await watch.untilCount('AttemptEnded', 2);
    await clock.advance(2000);
    (await generator.call(3)).finish();
    await watch.until('ImageReady', id);
    expect((await find(journal, id)).attempts).toMatchObject([
      { attempt: 1, generator: 'draw', outcome: 'failed', error: { code: 'upstream_failed' } },
      { attempt: 2, generator: 'draw', outcome: 'failed', error: { code: 'generator_failed' } },
      { attempt: 3, generator: 'draw', outcome: 'succeeded' },
    ]);
    expect(watch.typesOf(id)).toEqual([
      'RenderQueued',
      'RenderStarted',
      'AttemptEnded',
      'AttemptEnded',
      'AttemptEnded',
      'ImageReady',
    ]);
    expect(states).toEqual([]);
  });
});

describe('a work that pauses before its next attempt', () => {
  /** A server with a render whose first attempt has failed. */
  const paused = async (request: Parameters<Awaited<ReturnType<typeof startStepped>>['submit']>[0] = {}) => {
    const dir = await temporaryDir();
    const server = await startStepped({ dir, config: { generator: { retries: 3 } } });
    const { render } = await server.submit({ request_id: 'one', ...request });
    // Longer than the grace of a server that stops.
    (await server.generator.call(1)).fail(failure('upstream_failed', { retryAfterMs: 5000 }));
    await server.watch.until('AttemptEnded', render.id);
    await settled();
    return { ...server, dir, render };
  };

  it('is cancelled at once, and its slot is free', async () => {
    const { renders, submit, generator, clock, render, watch } = await paused();
    const timers = clock.pending;
    const { outcome, render: ended } = await renders.cancel(render.id, 'ann');
    expect(outcome).toBe('cancelled');
    expect(ended).toMatchObject({ status: 'cancelled', attempts: [{ outcome: 'failed' }] });
    await submit({ prompt: 'next' });
    expect((await generator.call(2)).work.prompt).toBe('next');
    await clock.advance(100_000);
    expect(generator.calls.length).toBe(2);
    expect(watch.typesOf(render.id)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded', 'RenderCancelled']);
    // The pause and the time-out of the first one are gone; the second one has a time-out.
    expect(clock.pending).toBeLessThan(timers);
  });

  it('makes way for a newer request that clears the queue', async () => {
    const { submit, generator, render, watch } = await paused();
    await submit({ prompt: 'newer', clear_queue: true });
    expect(await watch.until('RenderCancelled', render.id)).toMatchObject({ code: 'superseded' });
    expect((await generator.call(2)).work.prompt).toBe('newer');
  });

  it('is over when its time is, which runs on', async () => {
    const dir = await temporaryDir();
    const { submit, generator, clock, watch, renders } = await startStepped({
      dir,
      config: { generator: { retries: 3 } },
    });
    const { render } = await submit({ timeout_s: 5 });
    await generator.call(1);
    await clock.advance(1000);
    generator.calls[0]?.fail(failure());
    await watch.untilCount('AttemptEnded', 1);
    await clock.advance(1000);
    await generator.call(2);
    await clock.advance(500);
    generator.calls[1]?.fail(failure());
    await watch.untilCount('AttemptEnded', 2);
    await clock.advance(2000);
    // Five seconds from its start on, whatever happened in them.
    expect((await renders.get(render.id, 'ann')).status).toBe('running');
    await clock.advance(500);
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'render_timeout' });
    await watch.untilCount('AttemptEnded', 3);
    const { attempts } = await renders.get(render.id, 'ann');
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'timeout']);
  });

  it('goes back to the queue when the server stops, and on after the next start with what is left to it', async () => {
    const { dir, app, render, generator, clock } = await paused({ timeout_s: 10 });
    // Nothing of it runs: the server need not wait for its grace to be over.
    await clock.advance(2000);
    await app.stop();
    expect(generator.calls.length).toBe(1);

    const next = await startStepped({ dir, config: { generator: { retries: 3 } } });
    await next.generator.call(1);
    expect((await next.renders.get(render.id, 'ann')).attempts[0]).toMatchObject({ outcome: 'failed' });
    await next.clock.advance(7999);
    expect((await next.renders.get(render.id, 'ann')).status).toBe('running');
    await next.clock.advance(1);
    expect(await next.watch.until('RenderFailed', render.id)).toMatchObject({ code: 'render_timeout' });
  });

  it('hears no more of a provider whose job the last attempt left behind', async () => {
    const { submit, generator, watch, renders, clock } = await startStepped({ config: { generator: { retries: 1 } } });
    const { render } = await submit();
    const first = await generator.call(1);
    await first.hooks.onRemoteId('job-1');
    first.hooks.onDetached();
    first.fail(failure());
    await watch.until('AttemptEnded', render.id);
    await clock.advance(1000);
    const second = await generator.call(2);
    expect(second.hooks.remoteId).toBeUndefined();
    first.hooks.onProgress({ step: 1, steps: 2 });
    first.hooks.onDetached();
    await first.hooks.onRemoteId('job-1b');
    expect((await renders.get(render.id, 'ann')).progress).toBeUndefined();
    expect((await renders.cancel(render.id, 'ann')).outcome).toBe('cancelled');
    const { attempts } = await renders.get(render.id, 'ann');
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'cancelled']);
  });
});

describe('a failure that another attempt cannot mend', () => {
  it.each([
    ['content_rejected', {}],
    ['invalid_output', {}],
    ['upstream_failed', { retryable: false }],
    ['generator_unavailable', {}],
  ] as const)('ends the render at once: %s %o', async (code, options) => {
    const { submit, generator, watch } = await startRunner({ retries: 5 });
    const { id } = await submit();
    (await generator.call(1)).fail(failure(code, options));
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code });
    expect(watch.typesOf(id)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded', 'RenderFailed']);
  });

  it('because the provider wants more time than is left goes to the next fallback at once', async () => {
    const { submit, generator, other, watch } = await startRunner({ retries: 5, fallback: ['other'] });
    const { id } = await submit({ timeoutMs: 10_000 });
    (await generator.call(1)).fail(failure('upstream_rate_limited', { retryAfterMs: 10_000 }));
    (await other.call(1)).finish();
    expect(await watch.until('ImageReady', id)).toMatchObject({ generator: 'other', fallback_from: 'draw' });
  });

  it('waits as long as the provider wants when there is time', async () => {
    const { submit, generator, other, watch, clock } = await startRunner({ retries: 5, fallback: ['other'] });
    const { id } = await submit({ timeoutMs: 10_000 });
    (await generator.call(1)).fail(failure('upstream_rate_limited', { retryAfterMs: 9000 }));
    await watch.until('AttemptEnded', id);
    await clock.advance(8999);
    expect([generator.calls.length, other.calls.length]).toEqual([1, 0]);
    await clock.advance(1);
    (await generator.call(2)).finish();
    await watch.until('ImageReady', id);
  });

  it('of the last attempt is the render’s', async () => {
    const { submit, generator, watch, clock, journal, lines } = await startRunner({ retries: 1 });
    const { id } = await submit();
    (await generator.call(1)).fail(failure());
    await watch.untilCount('AttemptEnded', 1);
    await clock.advance(1000);
    (await generator.call(2)).fail(failure('upstream_timeout'));
    expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'upstream_timeout', retryable: true });
    expect((await find(journal, id)).attempts.length).toBe(2);
    expect(lines.filter(({ message }) => message === 'the attempt failed').length).toBe(2);
  });

  it('counts over restarts: no generator gets more than its retries', async () => {
    const dir = await temporaryDir();
    const config = { generator: { retries: 1 } };
    const { submit, generator, watch, stop } = await startStepped({ dir, config });
    const { render } = await submit();
    (await generator.call(1)).fail(failure());
    await watch.until('AttemptEnded', render.id);
    await stop();
    const next = await startStepped({ dir, config });
    (await next.generator.call(1)).fail(failure());
    await next.watch.until('RenderFailed', render.id);
    expect(next.generator.calls.length).toBe(1);
  });
});

/** Lets what follows from an event happen. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
