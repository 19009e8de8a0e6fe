import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { AppError } from '../../src/errors.ts';
import { createBreaker } from '../../src/render/breaker.ts';
import { ManualClock } from '../manual-clock.ts';
import type { EventWatch } from './event-watch.ts';
import { startRunner } from './runner-fixtures.ts';
import { startStepped } from './service-fixtures.ts';

const failure = (code: ErrorCode = 'generator_failed') => new AppError(code, 'no paint');

function create() {
  const clock = new ManualClock();
  const changes: string[] = [];
  const breaker = createBreaker({ generator: 'draw', clock, onChange: (state) => void changes.push(state) });
  const fail = (times: number, code?: ErrorCode) => {
    for (let time = 0; time < times; time += 1) breaker.admit().fail(failure(code));
  };
  return { clock, changes, breaker, fail };
}

describe('a breaker', () => {
  it('opens after five failures in a row, and says why', () => {
    const { breaker, fail, changes } = create();
    fail(4);
    expect(breaker).toMatchObject({ state: 'closed', reason: undefined, refusal: undefined });
    fail(1);
    expect(breaker).toMatchObject({
      state: 'open',
      reason: 'It failed 5 times in a row, lastly as generator_failed.',
      refusal: { code: 'generator_unavailable', retryAfterMs: 60_000 },
    });
    expect(() => breaker.admit()).toThrow('The generator draw is left alone for a while. It failed 5 times in a row');
    expect(changes).toEqual(['open']);
  });

  it('counts anew after each success', () => {
    const { breaker, fail, changes } = create();
    fail(4);
    breaker.admit().succeed();
    fail(4);
    expect(breaker.state).toBe('closed');
    expect(changes).toEqual([]);
  });

  it('opens at once when the provider does not take the key', () => {
    const { breaker, fail } = create();
    fail(1, 'upstream_auth');
    expect(breaker).toMatchObject({ state: 'open', reason: 'It failed as upstream_auth.' });
  });

  it.each([
    'content_rejected',
    'invalid_request',
    'invalid_image',
    'image_evicted',
    'unsupported_field',
    'storage_full',
    'storage_failed',
  ] as const)('does not take %s for the generator’s fault', (code) => {
    const { breaker, fail } = create();
    fail(20, code);
    expect(breaker.state).toBe('closed');
  });

  it('takes a provider for well that says when to come back, and for failing that takes nothing at all', () => {
    const { breaker, fail } = create();
    const busy = new AppError('upstream_rate_limited', 'Too many.', { retryAfterMs: 2000 });
    for (let time = 0; time < 20; time += 1) breaker.admit().fail(busy);
    expect(breaker.state).toBe('closed');
    fail(5, 'upstream_rate_limited');
    expect(breaker.state).toBe('open');
  });

  it('lets one work try when a minute is over, and no other one meanwhile', async () => {
    const { breaker, fail, clock, changes } = create();
    fail(5);
    await clock.advance(59_999);
    expect(breaker.refusal).toMatchObject({ retryAfterMs: 1000 });
    await clock.advance(1);
    expect(breaker).toMatchObject({ state: 'open', refusal: undefined });
    breaker.admit();
    expect(breaker).toMatchObject({ state: 'half_open', refusal: { retryAfterMs: 1000 } });
    expect(() => breaker.admit()).toThrow(AppError);
    expect(changes).toEqual(['open', 'half_open']);
  });

  it('closes when the one that tries succeeds, and counts from nothing', async () => {
    const { breaker, fail, clock, changes } = create();
    fail(5);
    await clock.advance(60_000);
    breaker.admit().succeed();
    expect(breaker).toMatchObject({ state: 'closed', reason: undefined, refusal: undefined });
    fail(4);
    expect(changes).toEqual(['open', 'half_open', 'closed']);
  });

  it('opens for another minute when the one that tries fails', async () => {
    const { breaker, fail, clock, changes } = create();
    fail(5);
    await clock.advance(60_000);
    fail(1, 'upstream_failed');
    expect(breaker).toMatchObject({
      state: 'open',
      reason: 'It failed 6 times in a row, lastly as upstream_failed.',
      refusal: { retryAfterMs: 60_000 },
    });
    expect(changes).toEqual(['open', 'half_open', 'open']);
  });

  it('lets the next one try when the first one tells nothing', async () => {
    const { breaker, fail, clock, changes } = create();
    fail(5);
    await clock.advance(60_000);
    breaker.admit().abandon();
    expect(breaker).toMatchObject({ state: 'half_open', refusal: undefined });
    fail(1, 'content_rejected');
    breaker.admit().succeed();
    expect(changes).toEqual(['open', 'half_open', 'closed']);
  });

  it('lets nothing that began before it opened decide about the one that tries', async () => {
    const { breaker, fail, clock, changes } = create();
    const early = [breaker.admit(), breaker.admit(), breaker.admit()];
    fail(5);
    await clock.advance(30_000);
    early[0]?.fail(failure());
    await clock.advance(30_000);
    // A minute after it opened, not after the late failure.
    const trial = breaker.admit();
    early[1]?.fail(failure());
    early[2]?.abandon();
    expect(breaker.state).toBe('half_open');
    expect(() => breaker.admit()).toThrow(AppError);
    trial.succeed();
    expect(changes).toEqual(['open', 'half_open', 'closed']);
  });

  it('is not moved by a wall clock that is set', async () => {
    const { breaker, fail, clock } = create();
    fail(5);
    clock.jump(86_400_000);
    expect(breaker.refusal).toMatchObject({ retryAfterMs: 60_000 });
    clock.jump(-2 * 86_400_000);
    await clock.advance(60_000);
    expect(breaker.refusal).toBeUndefined();
  });
});

describe('the circuit of a generator', () => {
  it('fails work at once while it is open, lets one try after a minute, and tells each change once', async () => {
    const { submit, generator, runner, clock, watch, states } = await startRunner();
    for (let number = 1; number <= 5; number += 1) {
      const { id } = await submit();
      (await generator.call(number)).fail(failure());
      await watch.until('RenderFailed', id);
    }
    expect(runner.healthOf('draw')).toMatchObject({ state: 'open', reason: expect.stringMatching(/5 times in a row/) });
    expect(runner.healthOf('other')).toEqual({ state: 'ready' });

    const refused = await submit();
    expect(await watch.until('RenderFailed', refused.id)).toMatchObject({ code: 'generator_unavailable' });
    expect(generator.calls.length).toBe(5);

    await clock.advance(60_000);
    const trial = await submit();
    const step = await generator.call(6);
    expect(runner.healthOf('draw').state).toBe('degraded');
    step.finish();
    await watch.until('ImageReady', trial.id);
    expect(runner.healthOf('draw')).toEqual({ state: 'ready' });
    expect(states).toEqual(['draw open', 'draw degraded', 'draw ready']);
  });

  it('is not opened by what nobody can know of the jobs of an earlier process', async () => {
    const { submit, generator, runner, watch } = await startRunner();
    const unknown = new AppError('outcome_unknown', 'Nobody knows.');
    for (let number = 1; number <= 10; number += 2) {
      const { id, workId } = await submit();
      const before = await generator.call(number);
      await before.hooks.onRemoteId(`job-${number}`);
      await runner.stop(workId, new AppError('draining', 'The server stops.'));
      runner.wake('draw');
      (await generator.call(number + 1)).fail(unknown);
      expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'outcome_unknown' });
    }
    expect(runner.healthOf('draw')).toEqual({ state: 'ready' });

    for (let number = 11; number <= 15; number += 1) {
      const { id } = await submit();
      (await generator.call(number)).fail(unknown);
      await watch.until('RenderFailed', id);
    }
    expect(runner.healthOf('draw').state).toBe('open');
  });

  it('is opened by images that cannot be used as well', async () => {
    const { submit, generator, runner, watch } = await startRunner();
    const broken = { kind: 'encoded', bytes: Buffer.from('<html>Sorry</html>'), seed: 7 } as const;
    for (let number = 1; number <= 5; number += 1) {
      const { id } = await submit();
      (await generator.call(number)).finish([broken]);
      expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'invalid_output' });
    }
    expect(runner.healthOf('draw')).toMatchObject({
      state: 'open',
      reason: expect.stringMatching(/5 times in a row, lastly as invalid_output/),
    });
  });

  it('is not opened by storage that is in trouble', async () => {
    let tried = Promise.withResolvers<void>();
    const { submit, generator, runner, clock, watch } = await startRunner({
      store: (real) => ({
        ...real,
        save() {
          tried.resolve();
          return Promise.reject(new AppError('storage_failed', 'No.'));
        },
      }),
    });
    for (let number = 1; number <= 6; number += 1) {
      tried = Promise.withResolvers();
      const { id } = await submit({ timeoutMs: 1000 });
      (await generator.call(number)).finish();
      await tried.promise;
      await clock.advance(1000);
      expect(await watch.until('RenderFailed', id)).toMatchObject({ code: 'storage_failed' });
    }
    expect(runner.healthOf('draw').state).toBe('ready');
  });

  it('is opened by a generator that lets its own time pass, not by a caller’s short one', async () => {
    const { submit, generator, runner, clock, watch } = await startRunner();
    for (let number = 1; number <= 6; number += 1) {
      const { id } = await submit({ timeoutMs: 1000 });
      await generator.call(number);
      await clock.advance(1000);
      await watch.until('AttemptEnded', id);
    }
    expect(runner.healthOf('draw').state).toBe('ready');
    for (let number = 7; number <= 11; number += 1) {
      const { id } = await submit();
      await generator.call(number);
      await clock.advance(1_000_000);
      await watch.until('AttemptEnded', id);
    }
    expect(runner.healthOf('draw').state).toBe('open');
  });

  it('is not closed, nor opened, by a work that is cancelled', async () => {
    const { submit, generator, runner, clock, watch, journal } = await startRunner();
    const first = await submit();
    (await generator.call(1)).fail(new AppError('upstream_auth', 'The key is not accepted.'));
    await watch.until('RenderFailed', first.id);
    await clock.advance(60_000);
    const second = await submit();
    await generator.call(2);
    const error = new AppError('cancelled', 'The render was cancelled.');
    await journal.settle({ renderId: second.id, status: 'cancelled', error: error.toPublic(), at: clock.now() });
    await runner.stop(second.workId, error);
    expect(runner.breakerOf('draw')).toMatchObject({ state: 'half_open', refusal: undefined });
    const third = await submit();
    (await generator.call(3)).finish();
    await watch.until('ImageReady', third.id);
    expect(runner.healthOf('draw').state).toBe('ready');
  });
});

describe('a request while the circuit is open', () => {
  const opensOf = (watch: EventWatch, name: string) =>
    watch.events.filter(
      (event) => event.type === 'GeneratorState' && event.generator === name && event.state === 'open',
    );
  /** The event comes after the render's end. */
  const untilOpen = async (watch: EventWatch, name: string) => {
    while (opensOf(watch, name).length === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const opened = async (fallback: readonly string[] = []) => {
    const server = await startStepped({ config: { generator: { fallback: [...fallback] } } });
    const stored = await server.submit({ seed: 1 });
    (await server.generator.call(1)).finish();
    await server.watch.until('ImageReady', stored.render.id);
    const { render } = await server.submit({ request_id: 'first', fallback: false });
    (await server.generator.call(2)).fail(new AppError('upstream_auth', 'The key is not accepted.'));
    await server.watch.until('RenderFailed', render.id);
    await untilOpen(server.watch, 'stepped');
    return server;
  };

  it('is refused, and says when to try again, unless it is known or stored images answer', async () => {
    const { submit, renders, watch } = await opened();
    await expect(submit()).rejects.toMatchObject({ code: 'generator_unavailable', retryAfterMs: 60_000 });
    expect((await submit({ request_id: 'first', fallback: false })).kind).toBe('known');
    expect((await submit({ seed: 1 })).render).toMatchObject({ status: 'succeeded', cached: true });
    await expect(submit({ seed: 1, cache: 'refresh' })).rejects.toMatchObject({ code: 'generator_unavailable' });
    expect((await submit({ generator: 'other' })).kind).toBe('accepted');
    const [{ state, reason } = {}] = (await renders.generators()).filter(({ name }) => name === 'stepped');
    expect({ state, reason }).toEqual({ state: 'open', reason: 'It failed as upstream_auth.' });
    expect(opensOf(watch, 'stepped')).toMatchObject([
      { generator: 'stepped', state: 'open', reason: 'It failed as upstream_auth.' },
    ]);
  });

  it('is taken when a fallback can answer it, and only then', async () => {
    const { submit, other, watch } = await opened(['other']);
    const { render } = await submit({ prompt: 'a lake' });
    (await other.call(1)).fail(new AppError('upstream_auth', 'The key is not accepted.'));
    expect(await watch.until('RenderFailed', render.id)).toMatchObject({ code: 'upstream_auth', generator: 'other' });
    await expect(submit({ fallback: false })).rejects.toMatchObject({ code: 'generator_unavailable' });
    // Now the fallback is left alone as well.
    await untilOpen(watch, 'other');
    await expect(submit()).rejects.toMatchObject({ code: 'generator_unavailable' });
  });

  it('is taken when a minute is over, and is the one that tries', async () => {
    const { submit, generator, clock, watch } = await opened();
    await clock.advance(60_000);
    const { render } = await submit();
    (await generator.call(3)).finish();
    await watch.until('ImageReady', render.id);
    const told = () =>
      watch.events.flatMap((event) =>
        event.type === 'GeneratorState' && event.generator === 'stepped' ? [event.state] : [],
      );
    while (told().at(-1) !== 'ready') await new Promise((resolve) => setImmediate(resolve));
    expect(told().slice(told().indexOf('open'))).toEqual(['open', 'degraded', 'ready']);
  });
});
