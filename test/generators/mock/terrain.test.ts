import type { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RawPixels, Work } from '../../../src/generators/generator.ts';
import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import type { MockStyle } from '../../../src/generators/mock/mock-style.ts';
import { startTerrainWorker } from '../../../src/generators/mock/terrain/renderer.ts';
import { createTerrainStyle } from '../../../src/generators/mock/terrain/terrain.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import type { Drawing } from '../../../src/store/images.ts';
import { generatorConformance } from '../conformance.ts';
import { plainPng, png } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });
const NEVER = new AbortController().signal;

generatorConformance('the mock generator with landscapes', {
  create: async (clock) => new MockImageGenerator({ style: 'terrain', delayMs: 1000, steps: 4, drawing, clock }),
});

function makeStyle(startWorker?: () => Worker): MockStyle {
  const style = createTerrainStyle({ drawing, startWorker });
  onTestFinished(() => style.close?.());
  return style;
}

async function draw(style: MockStyle, parts: Partial<Work> = {}): Promise<RawPixels> {
  const work = makeWork(parts);
  return await style.draw(work, work.seed, NEVER);
}

/** Mean difference of the channels of two pictures of one size. */
function distance(one: RawPixels, other: RawPixels): number {
  let sum = 0;
  for (const [at, value] of one.data.entries()) sum += Math.abs(value - (other.data[at] ?? 0));
  return sum / one.data.length;
}

describe('a landscape', () => {
  it('is the same for the same work, whatever the prompt, and another for another seed', async () => {
    const style = makeStyle();
    const first = await draw(style);
    expect((await draw(makeStyle(), { prompt: 'something else' })).data).toEqual(first.data);
    expect(distance(await draw(style, { seed: 8 }), first)).toBeGreaterThan(5);
  });

  it('is a wild temperate forest when the work names no place, or one that is unknown', async () => {
    const style = makeStyle();
    const named = await draw(style, { era: 'wilderness', biome: 'temperate_forest' });
    expect((await draw(style)).data).toEqual(named.data);
    expect((await draw(style, { era: 'tomorrow', biome: 'moon' })).data).toEqual(named.data);
  });

  it('is the same landscape at every size', async () => {
    const style = makeStyle();
    const small = await draw(style, { era: 'current', biome: 'coastal' });
    const large = await draw(style, { era: 'current', biome: 'coastal', width: 256, height: 256 });
    const shrunk = await drawing.shrink(large, 64);
    const other = await draw(style, { era: 'current', biome: 'coastal', seed: 8 });
    expect(distance(shrunk, small)).toBeLessThan(6);
    expect(distance(shrunk, other)).toBeGreaterThan(3 * distance(shrunk, small));
  });

  it.each([
    [64, 300],
    [300, 64],
    [65, 64],
  ])('has any proportion, as %i x %i', async (width, height) => {
    const pixels = await draw(makeStyle(), {
      width,
      height,
      era: 'modern',
      depthMap: inputImage(plainPng([90, 90, 90])),
    });
    expect([pixels.width, pixels.height, pixels.data.length]).toEqual([width, height, width * height * 3]);
  });
});

describe('the reference image of a landscape', () => {
  const reference = inputImage(plainPng([255, 0, 255]));

  it('is all at strength 0, nothing at 1, and half of it without a strength', async () => {
    const style = makeStyle();
    const [land, none] = [await draw(style), await draw(style, { referenceImage: reference, strength: 1 })];
    expect(none.data).toEqual(land.data);
    const all = await draw(style, { referenceImage: reference, strength: 0 });
    expect([...all.data.subarray(0, 3)]).toEqual([255, 0, 255]);
    expect(distance(all, drawing.blank({ width: 64, height: 64 }, { r: 255, g: 0, b: 255 }))).toBe(0);
    const half = await draw(style, { referenceImage: reference });
    expect(distance(half, land) / distance(all, land)).toBeCloseTo(0.5, 1);
  });
});

describe('the previews of a landscape', () => {
  const sketching = { wantsPreview: () => true };

  async function start(drawn: Drawing = drawing): Promise<MockImageGenerator> {
    const generator = new MockImageGenerator({
      style: 'terrain',
      delayMs: 0,
      steps: 3,
      drawing: drawn,
      clock: systemClock,
    });
    onTestFinished(() => generator.close());
    await generator.start();
    return generator;
  }

  it('become finer with every step and end with the picture', async () => {
    const run = startRun(await start(), makeWork({ width: 128, height: 128 }), { reactions: sketching });
    const [image] = await run.images;
    expect(run.previews.map(({ pixels }) => pixels.width)).toEqual([32, 64, 128]);
    const last = run.previews.at(-1)?.pixels;
    if (image?.kind !== 'raw' || last === undefined) throw new Error('pixels and previews');
    expect(distance(image.pixels, last)).toBe(0);
  });

  it('show the landscape that comes, each step closer', async () => {
    const run = startRun(await start(), makeWork({ width: 256, height: 256, biome: 'coastal' }), {
      reactions: sketching,
    });
    await run.images;
    const [first, second, last] = run.previews.map(({ pixels }) => pixels);
    if (first === undefined || second === undefined || last === undefined) throw new Error('three previews');
    const far = distance(first, await drawing.shrink(last, 64));
    const near = distance(second, await drawing.shrink(last, 128));
    expect(far).toBeLessThan(16);
    expect(near).toBeLessThan(16);
  });

  it('stay small with many steps', async () => {
    const run = startRun(await start(), makeWork({ steps: 40 }), { reactions: sketching });
    await run.images;
    expect(run.previews).toHaveLength(40);
    expect(Math.min(...run.previews.map(({ pixels }) => pixels.width))).toBe(8);
  });
});

describe('the thread that draws', () => {
  it('is started again after it died, and draws the same', async () => {
    const workers: Worker[] = [];
    const style = makeStyle(() => {
      const worker = startTerrainWorker();
      workers.push(worker);
      return worker;
    });
    const before = await draw(style);
    await draw(style);
    expect(workers).toHaveLength(1);
    await workers[0]?.terminate();
    expect((await draw(style)).data).toEqual(before.data);
    expect(workers).toHaveLength(2);
  });

  it('fails the picture that it dies with', async () => {
    const workers: Worker[] = [];
    const style = makeStyle(() => {
      const worker = startTerrainWorker();
      workers.push(worker);
      return worker;
    });
    const drawn = draw(style, { width: 2048, height: 2048 });
    const failed = expect(drawn).rejects.toThrow('thread has ended');
    while (workers.length === 0) await Promise.resolve();
    await workers[0]?.terminate();
    await failed;
  });

  it('stops when nobody wants the picture any more', async () => {
    const style = makeStyle();
    const stop = new AbortController();
    const work = makeWork({ width: 4096, height: 4096 });
    const drawn = style.draw(work, work.seed, stop.signal);
    const refused = expect(drawn).rejects.toThrow('nobody');
    stop.abort(new Error('nobody waits'));
    await refused;
    expect((await draw(style)).width).toBe(64);
  });

  it('draws no more once it is closed', async () => {
    const style = makeStyle();
    await draw(style);
    await style.close?.();
    await expect(draw(style)).rejects.toThrow('closed');
  });
});

describe('the depth map of a landscape', () => {
  it('is refused when it is no image', async () => {
    const depthMap = inputImage(Buffer.from('no image'));
    await expect(draw(makeStyle(), { depthMap })).rejects.toMatchObject({ code: 'invalid_image' });
  });

  it('is seen: another shape of the sand is another picture', async () => {
    const style = makeStyle();
    const slope = inputImage(png({ width: 64, height: 64 }, (x) => [x * 4, x * 4, x * 4]));
    const other = inputImage(png({ width: 64, height: 64 }, (_x, y) => [y * 4, y * 4, y * 4]));
    const [one, two] = [await draw(style, { depthMap: slope }), await draw(style, { depthMap: other })];
    expect(distance(one, two)).toBeGreaterThan(8);
    expect(distance(one, await draw(style))).toBeGreaterThan(8);
  });
});
