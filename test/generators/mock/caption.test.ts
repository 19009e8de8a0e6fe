import { describe, expect, it } from 'vitest';
import { captionMetrics, detailsBlock, promptBlock, shorten } from '../../../src/generators/mock/caption.ts';
import { makeWork } from '../work.ts';

describe('shorten', () => {
  it.each([
    ['short text as it is', 'a fox', 10, 'a fox'],
    ['text of just the length', 'abcde', 5, 'abcde'],
    ['longer text, cut with an ellipsis as the last character', 'abcdef', 5, 'abcd…'],
    ['no space before the ellipsis', 'abc def', 5, 'abc…'],
    ['characters outside the basic plane as one each', '🦊🦊🦊🦊', 3, '🦊🦊…'],
    ['lines and control characters as spaces', ' a\n\n\tb\u0000c\u001b ', 10, 'a b c'],
    ['half a surrogate pair as the replacement character', 'a\ud83db', 10, 'a\ufffdb'],
    ['text that shows nothing as a dash', '\u0001\u200b\ufffe', 10, '–'],
  ])('gives %s', (_case, text, longest, expected) => {
    expect(shorten(text, longest)).toBe(expected);
  });
});

describe('the caption', () => {
  const large = captionMetrics({ width: 1024, height: 1024 });

  it('names seed, size, steps, place and negative prompt', () => {
    const work = makeWork({
      width: 640,
      height: 480,
      steps: 9,
      era: 'ruins',
      biome: 'swamp',
      negativePrompt: 'people',
    });
    const lines = detailsBlock(work, 4_294_967_295, large).text.split('\n');
    expect(lines).toEqual(['seed 4294967295 · 640×480 · 9 steps', 'era ruins · biome swamp', 'without people']);
  });

  it('has no empty lines for what the work does not name', () => {
    expect(detailsBlock(makeWork(), 7, large).text).toBe('seed 7 · 64×64');
    expect(detailsBlock(makeWork({ biome: 'river' }), 7, large).text).toBe('seed 7 · 64×64\nbiome river');
  });

  it('cuts a long prompt to a sensible length in large images, and to what fits in small ones', () => {
    const prompt = 'word '.repeat(2000);
    expect(Array.from(promptBlock(prompt, 900, large).text).length).toBeLessThanOrEqual(240);
    const small = captionMetrics({ width: 64, height: 64 });
    const text = promptBlock(prompt, 24, small).text;
    expect(text).toMatch(/^word.*…$/);
    expect(text.length).toBeLessThan(24);
  });

  it.each([
    [64, 64],
    [64, 4096],
    [4096, 64],
    [200, 100],
    [1024, 1024],
    [4096, 4096],
  ])('leaves room for letters at %i x %i', (width, height) => {
    const { promptPx, detailsPx, textWidth, textHeight } = captionMetrics({ width, height });
    expect(Math.min(promptPx, detailsPx)).toBeGreaterThanOrEqual(8);
    expect(textWidth).toBeGreaterThan(5 * promptPx);
    expect(textHeight).toBeGreaterThan(4 * promptPx);
  });
});
