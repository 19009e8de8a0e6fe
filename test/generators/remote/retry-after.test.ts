import { describe, expect, it } from 'vitest';
import { readRetryAfter } from '../../../src/generators/remote/retry-after.ts';

const NOW = Date.UTC(2026, 10, 22, 6);

describe('Retry-After', () => {
  it('is a number of seconds', () => {
    expect(readRetryAfter('7', NOW)).toBe(7000);
    expect(readRetryAfter(' 0.5 ', NOW)).toBe(500);
    expect(readRetryAfter('0', NOW)).toBe(0);
  });

  it('is a date, in any of the forms that HTTP has', () => {
    expect(readRetryAfter('Sun, 22 Nov 2026 06:00:30 GMT', NOW)).toBe(30_000);
    expect(readRetryAfter('Sunday, 22-Nov-26 06:00:30 GMT', NOW)).toBe(30_000);
    expect(readRetryAfter('Sun, 22 Nov 2026 05:00:00 GMT', NOW)).toBe(0);
  });

  it('asks for an hour at most', () => {
    expect(readRetryAfter('999999999', NOW)).toBe(3_600_000);
    expect(readRetryAfter('Sun, 22 Nov 2099 06:00:30 GMT', NOW)).toBe(3_600_000);
  });

  it('says nothing when it cannot be read', () => {
    for (const text of [undefined, '', 'soon', '-5', '1e9', '2026-11-22', 'Sun, the 22nd']) {
      expect(readRetryAfter(text, NOW)).toBeUndefined();
    }
  });
});
