import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { pause } from '../../src/generators/pause.ts';
import { ManualClock } from '../manual-clock.ts';

describe('a pause', () => {
  it('ends after its time and leaves no listener', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    await clock.run(pause(clock, 250, signal));
    expect(clock.elapsed()).toBe(250);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('rejects with the reason when it is stopped, and leaves no timer', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const paused = pause(clock, 250, stop.signal);
    stop.abort('enough');
    await expect(paused).rejects.toBe('enough');
    expect(clock.pending).toBe(0);
  });

  it('does not begin when it is stopped already', async () => {
    const clock = new ManualClock();
    await expect(pause(clock, 250, AbortSignal.abort('enough'))).rejects.toBe('enough');
    expect(clock.pending).toBe(0);
  });
});
