import { describe, expect, it } from 'vitest';
import { ManualClock } from './manual-clock.ts';

describe('the manual clock', () => {
  it('fires timers in order of their time, also those that are set meanwhile', async () => {
    const clock = new ManualClock();
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.elapsed()]);
    clock.after(30, note('late'));
    clock.after(10, () => {
      note('early')();
      clock.after(5, note('set meanwhile'));
    });

    await clock.advance(20);
    expect(fired).toEqual([
      ['early', 10],
      ['set meanwhile', 15],
    ]);
    await clock.advance(10);
    expect(fired.at(-1)).toEqual(['late', 30]);
    expect([clock.elapsed(), clock.pending]).toEqual([30, 0]);
  });

  it('does not fire what was cancelled', async () => {
    const clock = new ManualClock();
    const cancel = clock.after(10, () => expect.unreachable());
    cancel();
    await clock.advance(100);
    expect(clock.pending).toBe(0);
  });

  it('moves wall time and elapsed time together', async () => {
    const clock = new ManualClock(1000);
    await clock.advance(250);
    expect([clock.now(), clock.elapsed()]).toEqual([1250, 250]);
  });

  it('can have its wall time set, and no time passes', async () => {
    const clock = new ManualClock(1000);
    clock.after(10, () => expect.unreachable());
    clock.jump(-500);
    expect([clock.now(), clock.elapsed(), clock.pending]).toEqual([500, 0, 1]);
  });

  it('runs until a promise is settled, past timers that are set after other waits', async () => {
    const clock = new ManualClock();
    const wait = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
    const work = async (): Promise<string> => {
      await wait(10);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      await wait(20);
      return 'done';
    };
    expect(await clock.run(work())).toBe('done');
    expect([clock.elapsed(), clock.pending]).toEqual([30, 0]);
  });
});
