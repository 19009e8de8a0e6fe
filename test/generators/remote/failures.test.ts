import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { paid, statusFailure, submitting } from '../../../src/generators/remote/failures.ts';
import { ManualClock } from '../../manual-clock.ts';

function failureOf(status: number, submits: boolean, headers: Record<string, string> = {}) {
  const { code, retryable, retryAfterMs } = statusFailure(
    { status, headers },
    { provider: 'Acme', clock: new ManualClock(), submits },
  );
  return { code, retryable, retryAfterMs };
}

describe('an answer that is no success', () => {
  it.each([
    [400, 'upstream_failed', false],
    [401, 'upstream_auth', false],
    [402, 'upstream_auth', false],
    [403, 'upstream_auth', false],
    [404, 'upstream_failed', false],
    [408, 'upstream_failed', true],
    [422, 'upstream_failed', false],
    [425, 'upstream_failed', true],
    [429, 'upstream_rate_limited', true],
    [500, 'upstream_failed', true],
    [503, 'upstream_failed', true],
    [301, 'upstream_failed', false],
  ])('%d means %s', (status, code, retryable) => {
    for (const submits of [true, false]) expect(failureOf(status, submits)).toMatchObject({ code, retryable });
  });

  it.each([502, 504])('%d of a gateway leaves it unknown what became of a submit', (status) => {
    expect(failureOf(status, true)).toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect(failureOf(status, false)).toMatchObject({ code: 'upstream_failed', retryable: true });
  });

  it('says when to come back, if the provider does', () => {
    expect(failureOf(429, true, { 'retry-after': '3' }).retryAfterMs).toBe(3000);
    expect(failureOf(503, true, { 'retry-after': '4' }).retryAfterMs).toBe(4000);
    expect(failureOf(429, true, { 'retry-after': 'Sun, 22 Nov 2026 06:00:09 GMT' }).retryAfterMs).toBe(9000);
    expect(failureOf(429, true).retryAfterMs).toBeUndefined();
  });
});

describe('a failure after which the work is paid', () => {
  const fail = async (error: unknown) => {
    throw error;
  };

  it('may not be answered by another submit', async () => {
    const broken = new AppError('upstream_timeout', 'Too slow.');
    await expect(paid(() => fail(broken))).rejects.toMatchObject({ code: 'upstream_timeout', retryable: false });
  });

  it('stays as it is when the job itself has failed, or the error is not of the provider', async () => {
    for (const error of [new AppError('generator_failed', 'It failed.'), new TypeError('ours')]) {
      await expect(paid(() => fail(error))).rejects.toBe(error);
    }
  });
});

describe('a submit with an unknown outcome', () => {
  const unknown = new AppError('outcome_unknown', 'Who knows.');
  const submit = async () => {
    throw unknown;
  };

  it('is retryable only where the operator allows it', async () => {
    await expect(submitting(false, submit)).rejects.toBe(unknown);
    await expect(submitting(true, submit)).rejects.toMatchObject({ code: 'outcome_unknown', retryable: true });
  });
});
