import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createPurse } from '../../src/render/purse.ts';
import { ManualClock } from '../manual-clock.ts';
import { AT, accept, claim, find } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

describe('a rate limit', () => {
  it('keeps works in the queue until they may begin', async () => {
    const { submit, generator, clock, journal, watch } = await startRunner({ limits: { ratePerMinute: 6 } });
    const first = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', first.id);
    const second = await submit();
    await journal.probe({ at: AT });
    expect((await find(journal, second.id)).status).toBe('queued');
    await clock.advance(9_999);
    expect(generator.calls.length).toBe(1);
    await clock.advance(1);
    (await generator.call(2)).finish();
    await watch.until('ImageReady', second.id);
  });

  it('rests as long as a provider asks that was asked too much', async () => {
    const { submit, generator, clock, watch } = await startRunner();
    const { id } = await submit();
    const busy = new AppError('upstream_rate_limited', 'Too many.', { retryAfterMs: 30_000 });
    (await generator.call(1)).fail(busy);
    await watch.until('RenderFailed', id);
    await submit({ spec: { prompt: 'later' } });
    await clock.advance(29_999);
    expect(generator.calls.length).toBe(1);
    await clock.advance(1);
    expect((await generator.call(2)).work.prompt).toBe('later');
  });

  it('waits as often as a provider asks for it, as long as there are retries', async () => {
    const { submit, generator, clock, runner, watch } = await startRunner({ retries: 8 });
    const { id } = await submit();
    const busy = new AppError('upstream_rate_limited', 'Too many.', { retryAfterMs: 40_000 });
    for (let number = 1; number <= 8; number += 1) {
      (await generator.call(number)).fail(busy);
      await watch.untilCount('AttemptEnded', number);
      await clock.advance(39_999);
      expect(generator.calls.length).toBe(number);
      await clock.advance(1);
    }
    (await generator.call(9)).finish();
    await watch.until('ImageReady', id);
    expect(runner.healthOf('draw')).toEqual({ state: 'ready' });
  });

  it('counts retries too', async () => {
    const { submit, generator, clock, watch } = await startRunner({ retries: 1, limits: { ratePerMinute: 1 } });
    const { id } = await submit();
    (await generator.call(1)).fail(new AppError('generator_failed', 'No paint.'));
    await watch.until('AttemptEnded', id);
    await clock.advance(59_000);
    expect(generator.calls.length).toBe(1);
    await clock.advance(1000);
    await generator.call(2);
  });
});

describe('a budget', () => {
  it('refuses before anything is submitted when one more would go beyond it, until the next day', async () => {
    const { submit, generator, clock, watch, journal } = await startRunner({ limits: { dailySpendUsd: 0.1 } });
    for (const [index, usd] of [0.04, 0.04].entries()) {
      const { id } = await submit();
      const step = await generator.call(index + 1);
      step.hooks.onCost(usd);
      step.finish();
      await watch.until('ImageReady', id);
    }
    const refused = await submit();
    expect(await watch.until('RenderFailed', refused.id)).toMatchObject({ code: 'spend_limit', retryable: true });
    expect(generator.calls.length).toBe(2);
    expect((await journal.spentSince({ generator: 'draw', since: 0 })).usd).toBeCloseTo(0.08);

    await clock.advance(18 * 3_600_000);
    await submit();
    await generator.call(3);
  });

  it('counts what is under way as much as the last one cost', async () => {
    const { submit, generator, watch } = await startRunner({ concurrency: 3, limits: { dailySpendUsd: 0.1 } });
    const { id } = await submit();
    const first = await generator.call(1);
    first.hooks.onCost(0.04);
    first.finish();
    await watch.until('ImageReady', id);
    await submit();
    await generator.call(2);
    const third = await submit();
    expect(await watch.until('RenderFailed', third.id)).toMatchObject({ code: 'spend_limit' });
    expect(generator.calls.length).toBe(2);
  });

  it('counts what was left at the provider as much as the last one cost, until its cost is known', async () => {
    const { submit, generator, journal, runner, clock, watch } = await startRunner({ limits: { dailySpendUsd: 0.1 } });
    const { id } = await submit();
    const first = await generator.call(1);
    first.hooks.onCost(0.04);
    first.finish();
    await watch.until('ImageReady', id);

    const left = await submit();
    const second = await generator.call(2);
    const reason = new AppError('cancelled', 'Nobody waits.');
    await journal.settle({ renderId: left.id, status: 'cancelled', error: reason.toPublic(), at: AT });
    const stopped = runner.stop(left.workId, reason);
    second.hooks.onDetached();
    second.fail(reason);
    expect(await stopped).toBe('detached');
    await watch.untilCount('AttemptEnded', 2);

    const refused = await submit();
    expect(await watch.until('RenderFailed', refused.id)).toMatchObject({ code: 'spend_limit' });
    await journal.noteCost({ workId: left.workId, attempt: 1, costUsd: 0, at: clock.now() });
    await submit();
    await generator.call(3);
  });

  it('is the same after a restart', async () => {
    const opened = await openJournal();
    const clock = new ManualClock(AT);
    for (const [index, costUsd] of [0.04, 0.02].entries()) {
      await accept(opened.journal);
      const work = await claim(opened.journal, 'draw', AT + index);
      await opened.journal.noteCost({ ...work, costUsd, at: AT });
    }
    const journal = await opened.reopen();
    const purse = createPurse({ generator: 'draw', dailyUsd: 0.09, journal, clock });
    await purse.admit();
    await expect(purse.admit()).rejects.toMatchObject({ code: 'spend_limit', retryAfterMs: 18 * 3_600_000 });
    await clock.advance(18 * 3_600_000);
    await purse.admit();
  });

  /** Work whose first try has spent all, and was handed back with what it had reported. */
  async function handBackSpent() {
    const { submit, generator, journal, runner, watch, clock } = await startRunner({ limits: { dailySpendUsd: 0.05 } });
    const { id, workId } = await submit();
    const step = await generator.call(1);
    await step.hooks.onRemoteId('job-1');
    step.hooks.onCost(0.05);
    await journal.release({ workId, attempt: 1, at: AT });
    step.fail(new AppError('draining', 'The server stops.'));
    await watch.until('AttemptEnded', id);
    const wake = async () => {
      runner.wake('draw');
      await clock.advance(0);
    };
    return { id, generator, watch, wake };
  }

  it('lets a job that was paid before be asked after', async () => {
    const { id, generator, watch, wake } = await handBackSpent();
    await wake();
    const again = await generator.call(2);
    expect(again.hooks.remoteId).toBe('job-1');
    again.finish();
    await watch.until('ImageReady', id);
  });

  it('refuses what would be submitted again', async () => {
    const { id, generator, watch, wake } = await handBackSpent();
    Object.assign(generator, { submitsAgain: (remoteId: string) => remoteId === 'job-1' });
    await wake();
    const { message } = await watch.until('RenderFailed', id);
    expect(message).toContain('used up its budget');
    expect(generator.calls).toHaveLength(1);
  });
});
