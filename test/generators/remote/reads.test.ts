import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { readAgain } from '../../../src/generators/remote/reads.ts';
import { ManualClock } from '../../manual-clock.ts';
import { endless } from './fixtures.ts';

const failed = new AppError('upstream_failed', 'It failed.');

/** A read that fails with these, one after the other, and then gives 'read'. */
function failingWith(...errors: unknown[]) {
  const seen = { calls: 0 };
  const read = async () => {
    seen.calls += 1;
    if (errors.length > 0) throw errors.shift();
    return 'read';
  };
  return Object.assign(read, { seen });
}

describe('a read that fails in passing', () => {
  it('is tried again after growing pauses, as often as is allowed', async () => {
    const clock = new ManualClock();
    const read = failingWith(failed, failed, failed, failed, failed, failed);
    await expect(clock.run(readAgain(read, { clock, signal: endless, tries: 7 }))).resolves.toBe('read');
    expect(clock.elapsed()).toBe(500 + 1000 + 2000 + 4000 + 8000 + 8000);

    const often = failingWith(failed, failed, failed);
    await expect(clock.run(readAgain(often, { clock, signal: endless, tries: 3 }))).rejects.toBe(failed);
    expect(often.seen.calls).toBe(3);
  });

  it('waits as long as the provider asks', async () => {
    const clock = new ManualClock();
    const busy = new AppError('upstream_rate_limited', 'Too many.', { retryAfterMs: 7000 });
    await clock.run(readAgain(failingWith(busy), { clock, signal: endless, tries: 2 }));
    expect(clock.elapsed()).toBe(7000);
  });

  it('is given up with the signal’s reason, and leaves no timer', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const reading = readAgain(failingWith(failed), { clock, signal: stop.signal, tries: 9 });
    reading.catch(() => undefined);
    await clock.untilPending();
    const reason = new AppError('cancelled', 'Nobody waits.');
    stop.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });

  it('is a page in the place of an answer only where that is said', async () => {
    const clock = new ManualClock();
    const page = new AppError('invalid_output', 'A page.');
    const patience = { clock, signal: endless, tries: 2 };
    await expect(clock.run(readAgain(failingWith(page), patience))).rejects.toBe(page);
    await expect(clock.run(readAgain(failingWith(page), { ...patience, pagesPass: true }))).resolves.toBe('read');
  });
});

describe('a read that fails for good', () => {
  it.each([
    new AppError('upstream_auth', 'No.'),
    new AppError('upstream_failed', 'Refused.', { retryable: false }),
    new AppError('result_expired', 'Gone.'),
    new AppError('generator_failed', 'The job has failed.'),
    new TypeError('ours'),
  ])('is not tried again: %s', async (error) => {
    const clock = new ManualClock();
    const read = failingWith(error);
    await expect(clock.run(readAgain(read, { clock, signal: endless, tries: 9 }))).rejects.toBe(error);
    expect(read.seen.calls).toBe(1);
  });
});
