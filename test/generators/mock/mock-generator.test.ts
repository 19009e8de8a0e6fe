import { describe, expect, it, onTestFinished } from 'vitest';
import type { MockOptions } from '../../../src/generators/mock/mock-generator.ts';
import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import { createImages } from '../../../src/store/convert.ts';
import type { Drawing } from '../../../src/store/images.ts';
import { ManualClock } from '../../manual-clock.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

async function startMock(
  parts: Partial<MockOptions> = {},
): Promise<{ generator: MockImageGenerator; clock: ManualClock }> {
  const clock = new ManualClock();
  const generator = new MockImageGenerator({ style: 'placeholder', delayMs: 0, steps: 4, drawing, clock, ...parts });
  onTestFinished(() => generator.close());
  await generator.start();
  return { generator, clock };
}

describe('the delay', () => {
  it.each([
    [1000, 4, [250, 500, 750, 1000]],
    [100, 3, [34, 67, 100]],
    [2, 4, [1, 1, 2, 2]],
    [0, 2, [0, 0]],
  ])('of %i ms is spread over %i steps', async (delayMs, steps, times) => {
    const { generator, clock } = await startMock({ delayMs, steps });
    const seen: number[] = [];
    const run = startRun(generator, makeWork(), { reactions: { onProgress: () => seen.push(clock.elapsed()) } });
    await clock.run(run.images);
    expect(seen).toEqual(times);
  });

  it('is that of each image', async () => {
    const { generator, clock } = await startMock({ delayMs: 1000 });
    await clock.run(startRun(generator, makeWork({ numImages: 3 })).images);
    expect(clock.elapsed()).toBe(3000);
  });
});

describe('the mock generator', () => {
  it('takes the number of steps from the work, else from its settings', async () => {
    const { generator } = await startMock({ steps: 4 });
    const asked = startRun(generator, makeWork({ steps: 7 }));
    const silent = startRun(generator, makeWork());
    await Promise.all([asked.images, silent.images]);
    expect([asked.progress.length, silent.progress.length]).toEqual([7, 4]);
  });

  it('shows a preview of each step, no side longer than 256 pixels', async () => {
    const { generator } = await startMock({ steps: 3 });
    const reactions = { wantsPreview: () => true };
    const run = startRun(generator, makeWork({ width: 640, height: 320 }), { reactions });
    await run.images;
    const sizes = run.previews.map(({ step, pixels }) => [step, pixels.width, pixels.height]);
    expect(sizes).toEqual([1, 2, 3].map((step) => [step, 256, 128]));
  });

  it('draws no further image once it is stopped', async () => {
    let drawn = 0;
    const counting: Drawing = {
      ...drawing,
      compose: async (...parts) => {
        drawn += 1;
        return await drawing.compose(...parts);
      },
    };
    const { generator } = await startMock({ drawing: counting, steps: 1 });
    const stop = new AbortController();
    const reactions = { onProgress: ({ step }: { step: number }) => step === 2 && stop.abort('enough') };
    const run = startRun(generator, makeWork({ numImages: 10 }), { stop, reactions });
    await expect(run.images).rejects.toBe('enough');
    expect(drawn).toBe(2);
    await expect(startRun(generator, makeWork(), { stop }).images).rejects.toBe('enough');
    expect(drawn).toBe(2);
  });

  it('fails with a public error when the drawing does, and keeps the cause', async () => {
    const cause = new Error('/secret/path is broken');
    const { generator } = await startMock({ drawing: { ...drawing, text: () => Promise.reject(cause) } });
    const run = startRun(generator, makeWork());
    await expect(run.images).rejects.toMatchObject({
      code: 'generator_failed',
      message: expect.not.stringContaining('secret'),
      cause,
    });
  });

  it('waits for work to stop when it is closed', async () => {
    const { generator, clock } = await startMock({ delayMs: 1000 });
    const run = startRun(generator, makeWork());
    await clock.untilPending();
    let stopped = false;
    run.images.catch(() => {
      stopped = true;
    });
    await generator.close();
    expect(stopped).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
