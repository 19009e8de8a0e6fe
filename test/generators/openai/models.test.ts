import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizesOf } from '../../../src/generators/openai/models.ts';

describe('the sizes of GPT Image 2 and its successors', () => {
  const { sizes, nearest } = sizesOf('gpt-image-2.5-flare-2026-09-08');
  const side = fc
    .integer({ min: sizes.min / sizes.multipleOf, max: sizes.max / sizes.multipleOf })
    .map((steps) => steps * sizes.multipleOf);

  it('are within what the models draw, whatever is asked for', () => {
    fc.assert(
      fc.property(side, side, (width, height) => {
        const size = nearest({ width, height });
        const [short = 0, long = 0] = [size.width, size.height].sort((a, b) => a - b);
        expect([size.width % 16, size.height % 16]).toEqual([0, 0]);
        expect(long).toBeLessThanOrEqual(3840);
        expect(long).toBeLessThanOrEqual(3 * short);
        expect(short * long).toBeGreaterThanOrEqual(655_360);
        expect(short * long).toBeLessThanOrEqual(8_294_400);
        expect(nearest(size)).toEqual(size);
      }),
    );
  });

  it.each([
    [1024, 1024, 1024, 1024],
    [1536, 864, 1536, 864],
    [1280, 720, 1280, 720],
    [3840, 2160, 3840, 2160],
    [512, 512, 816, 816],
    [3840, 480, 2352, 784],
    [480, 1920, 560, 1664],
  ])('turn %i × %i into %i × %i', (width, height, drawnWidth, drawnHeight) => {
    expect(nearest({ width, height })).toEqual({ width: drawnWidth, height: drawnHeight });
  });
});

describe('the sizes of the first GPT Image models', () => {
  it.each([
    [1024, 1024, '1024x1024'],
    [1536, 1024, '1536x1024'],
    [1024, 1536, '1024x1536'],
    [1536, 1536, '1024x1024'],
  ])('turn %i × %i into the one of three whose proportion is nearest', (width, height, drawn) => {
    for (const model of ['gpt-image-1-mini', 'gpt-image-1.5', 'chatgpt-image-latest']) {
      const size = sizesOf(model).nearest({ width, height });
      expect(`${size.width}x${size.height}`).toBe(drawn);
    }
  });
});

it('leaves the sizes of models that it does not know to their server', () => {
  const { sizes, nearest } = sizesOf('flux-of-a-compatible-server');
  expect(nearest({ width: sizes.min, height: sizes.max })).toEqual({ width: sizes.min, height: sizes.max });
});
