import { describe, expect, it } from 'vitest';
import { createPace } from '../../src/render/pace.ts';
import { ManualClock } from '../manual-clock.ts';

describe('a pace', () => {
  it('lets everything begin at once without a limit', () => {
    const pace = createPace({ perMinute: undefined, clock: new ManualClock() });
    for (let number = 0; number < 1000; number += 1) pace.take();
    expect(pace.waitMs()).toBe(0);
    expect(pace.tokens).toBe(Number.POSITIVE_INFINITY);
  });

  it('lets a tenth of a minute’s works begin at once, and the others one by one', async () => {
    const clock = new ManualClock();
    const pace = createPace({ perMinute: 60, clock });
    for (let number = 0; number < 6; number += 1) {
      expect(pace.waitMs()).toBe(0);
      pace.take();
    }
    expect(pace.tokens).toBe(0);
    expect(pace.waitMs()).toBe(1000);
    await clock.advance(999);
    expect(pace.waitMs()).toBe(1);
    await clock.advance(1);
    expect(pace.waitMs()).toBe(0);
    pace.take();
    expect(pace.waitMs()).toBe(1000);
  });

  it('never saves up more than that, however long nothing comes', async () => {
    const clock = new ManualClock();
    const pace = createPace({ perMinute: 20, clock });
    await clock.advance(3_600_000);
    expect(pace.tokens).toBe(2);
  });

  it('lets at least one begin, however slow it is', async () => {
    const clock = new ManualClock();
    const pace = createPace({ perMinute: 0.5, clock });
    expect(pace.waitMs()).toBe(0);
    pace.take();
    expect(pace.waitMs()).toBe(120_000);
  });

  it('has later ones pay for what began too early', async () => {
    const clock = new ManualClock();
    const pace = createPace({ perMinute: 60, clock });
    for (let number = 0; number < 8; number += 1) pace.take();
    expect(pace.waitMs()).toBe(3000);
  });

  it('rests as long as the provider asks, and not less when it asks again', async () => {
    const clock = new ManualClock();
    const pace = createPace({ perMinute: undefined, clock });
    pace.hold(5000);
    pace.hold(1000);
    expect(pace.tokens).toBe(0);
    expect(pace.waitMs()).toBe(5000);
    await clock.advance(5000);
    expect(pace.waitMs()).toBe(0);
  });
});
