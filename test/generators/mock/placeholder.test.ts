import { describe, expect, it, onTestFinished } from 'vitest';
import type { RawPixels, Work } from '../../../src/generators/generator.ts';
import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import { generatorConformance } from '../conformance.ts';
import { plainPng, png } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

generatorConformance('the mock generator with placeholders', {
  create: async (clock) => new MockImageGenerator({ style: 'placeholder', delayMs: 1000, steps: 4, drawing, clock }),
});

generatorConformance('the mock generator without delay', {
  create: async (clock) => new MockImageGenerator({ style: 'placeholder', delayMs: 0, steps: 4, drawing, clock }),
});

async function draw(parts: Partial<Work> = {}): Promise<RawPixels> {
  const generator = new MockImageGenerator({ style: 'placeholder', delayMs: 0, steps: 1, drawing, clock: systemClock });
  onTestFinished(() => generator.close());
  await generator.start();
  const [image] = await startRun(generator, makeWork({ width: 256, height: 256, ...parts })).images;
  if (image?.kind !== 'raw') throw new Error('the mock generator gives pixels');
  return image.pixels;
}

/** Brightness, 0 to 255, of every pixel in a part of the image; the limits are fractions of its sides. */
function brightness(
  pixels: RawPixels,
  [left, top, right, bottom]: readonly [number, number, number, number],
): number[] {
  const { width, height, channels, data } = pixels;
  const values: number[] = [];
  for (let y = Math.floor(top * height); y < bottom * height; y += 1) {
    for (let x = Math.floor(left * width); x < right * width; x += 1) {
      const at = (y * width + x) * channels;
      values.push(((data[at] ?? 0) + (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 3);
    }
  }
  return values;
}

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const UPPER = [0.1, 0.05, 0.9, 0.3] as const;
const white = inputImage(plainPng([255, 255, 255]));
const black = inputImage(plainPng([0, 0, 0]));

describe('a placeholder', () => {
  it('is another picture for another seed, in its text and in its colour', async () => {
    const [one, two] = [await draw({ seed: 1 }), await draw({ seed: 2 })];
    expect(one.data).not.toEqual(two.data);
    expect(one.data.subarray(0, 3)).not.toEqual(two.data.subarray(0, 3));
  });

  it.each<[string, Partial<Work>]>([
    ['prompt', { prompt: 'another prompt' }],
    ['negative prompt', { negativePrompt: 'people' }],
    ['number of steps', { steps: 30 }],
    ['era', { era: 'ruins' }],
    ['biome', { biome: 'swamp' }],
    ['depth map', { depthMap: white }],
    ['reference image', { referenceImage: white }],
  ])('shows the %s', async (_what, parts) => {
    expect((await draw(parts)).data).not.toEqual((await draw()).data);
  });

  it.each([
    ['a white depth map', { depthMap: white }],
    ['a black depth map', { depthMap: black }],
    ['its own colour', {}],
  ])('has bright letters on a dark panel over %s', async (_what, parts) => {
    const panel = brightness(await draw(parts), [0.02, 0.85, 0.98, 0.98]);
    const bright = panel.filter((value) => value > 150).length / panel.length;
    const dark = panel.filter((value) => value < 80).length / panel.length;
    expect(bright).toBeGreaterThan(0.02);
    expect(dark).toBeGreaterThan(0.5);
  });

  it.each([
    [64, 64],
    [64, 512],
    [512, 64],
    [640, 360],
  ])('has bright letters at %i x %i, however long the prompt', async (width, height) => {
    const pixels = await draw({ width, height, prompt: 'an endless sentence '.repeat(400), depthMap: white });
    expect([pixels.width, pixels.height, pixels.channels]).toEqual([width, height, 3]);
    const text = brightness(pixels, [0.05, 0.5, 0.95, 0.98]);
    expect(text.filter((value) => value > 150).length / text.length).toBeGreaterThan(0.02);
    expect(text.filter((value) => value < 80).length / text.length).toBeGreaterThan(0.3);
  });

  it('draws marks of mark-up, control characters and scripts without a font', async () => {
    for (const prompt of ['<b>&amp; </i> 5 < 6', '\u0001\u0002', 'ferns \ud83c', '城 🦊 مدينة', 'w'.repeat(10_000)]) {
      expect((await draw({ prompt, width: 64, height: 64 })).width).toBe(64);
    }
  });

  it('shows the depth map darkened, in its place', async () => {
    const halves = inputImage(png({ width: 32, height: 32 }, (x) => (x < 16 ? [0, 0, 0] : [255, 255, 255])));
    const pixels = await draw({ depthMap: halves });
    expect(average(brightness(pixels, [0.05, 0.05, 0.4, 0.3]))).toBeLessThan(10);
    const bright = average(brightness(pixels, [0.6, 0.05, 0.95, 0.3]));
    expect(bright).toBeGreaterThan(120);
    expect(bright).toBeLessThan(220);
  });

  it('shows the reference image alone at strength 0, half of it without a strength, and nothing of it at 1', async () => {
    const shown = async (parts: Partial<Work>) =>
      average(brightness(await draw({ referenceImage: white, depthMap: black, ...parts }), UPPER));
    const [all, half, none] = [await shown({ strength: 0 }), await shown({}), await shown({ strength: 1 })];
    expect(all).toBeGreaterThan(120);
    expect(half / all).toBeCloseTo(0.5, 1);
    expect(none).toBeLessThan(5);
  });

  it('blends the reference image with the colour of the seed when there is no depth map', async () => {
    const [one, two] = [await draw({ referenceImage: white, seed: 1 }), await draw({ referenceImage: white, seed: 2 })];
    expect(brightness(one, UPPER)).not.toEqual(brightness(two, UPPER));
    const kept = [
      await draw({ referenceImage: white, seed: 1, strength: 0 }),
      await draw({ referenceImage: white, seed: 2, strength: 0 }),
    ];
    expect(kept[0] && brightness(kept[0], UPPER)).toEqual(kept[1] && brightness(kept[1], UPPER));
  });

  it('refuses an input image that is none', async () => {
    await expect(draw({ depthMap: inputImage(Buffer.from('no image')) })).rejects.toMatchObject({
      code: 'invalid_image',
    });
  });
});
