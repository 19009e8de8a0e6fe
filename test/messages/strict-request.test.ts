import { describe, expect, it } from 'vitest';
import type { AppError } from '../../src/errors.ts';
import { renderRequestFields } from '../../src/messages/fields.ts';
import { invalidRequest, strictRenderRequest, toFieldIssues, withoutNulls } from '../../src/messages/render-request.ts';

const prompt = 'a delta';

/** Paths of what the strict schema finds wrong. */
function badFields(request: object): string[] {
  const parsed = strictRenderRequest.safeParse({ prompt, ...request });
  return parsed.success ? [] : [...new Set(toFieldIssues(parsed.error.issues).map(({ path }) => path))].sort();
}

const LIMITS: Record<string, { good: readonly unknown[]; bad: readonly unknown[] }> = {
  request_id: { good: ['a', 'A-Z_0.9:z', 'x'.repeat(128)], bad: ['', 'x'.repeat(129), 'a b', 'a/b', 'ü', 'a\n', 7] },
  prompt: { good: ['a', 'x'.repeat(10_000), ' a '], bad: ['', ' ', '\n\t', 'x'.repeat(10_001), '\ud800', null, 7] },
  negative_prompt: { good: ['', 'x'.repeat(10_000)], bad: ['x'.repeat(10_001), '\udfff', 7] },
  generator: { good: ['mock', 'x'.repeat(128)], bad: ['', 'x'.repeat(129), 7] },
  width: { good: [64, 4096, 512.0], bad: [63, 4097, 512.5, '512', 1e9, Number.NaN, Number.POSITIVE_INFINITY, true] },
  height: { good: [64, 4096], bad: [63, 4097, -64] },
  seed: { good: [0, 2 ** 32 - 1], bad: [-1, 2 ** 32, 0.5, 2 ** 53, '1'] },
  num_images: { good: [1, 10], bad: [0, 11, 1.5] },
  steps: { good: [1, 1000], bad: [0, 1001] },
  guidance_scale: { good: [0, 7.5, 100], bad: [-0.1, 100.1, '7', Number.NaN] },
  strength: { good: [0, 0.5, 1], bad: [-0.01, 1.01, '1'] },
  style: { good: ['oil', 'x'.repeat(200)], bad: ['', 'x'.repeat(201), '\ud800'] },
  loras: {
    good: [[], [{ path: 'a', scale: -10 }], Array(16).fill({ path: 'a', scale: 10 })],
    bad: [Array(17).fill({ path: 'a', scale: 1 }), 'a', {}],
  },
  reference_image: {
    good: [{ uri: 'a' }, { image_data: 'a' }, { image_data: 'a', uri: null }, { image_data: null, uri: 'a' }],
    bad: [{}, { uri: 'a', image_data: 'b' }, { uri: null }, { uri: null, image_data: null }, 'a', []],
  },
  depth_map: { good: [{ uri: 'a' }], bad: [{}] },
  mask: { good: [{ image_data: 'a' }], bad: [{}] },
  era: { good: ['wilderness', 'any', 'x'.repeat(64)], bad: ['', 'x'.repeat(65), 7] },
  biome: { good: ['desert'], bad: ['', 'x'.repeat(65)] },
  output_format: { good: ['png', 'jpeg'], bad: ['jpg', 'PNG', 'gif', ''] },
  quality: { good: [1, 100], bad: [0, 101, 90.5] },
  priority: { good: [-10, 0, 10], bad: [-11, 11, 0.5] },
  timeout_s: { good: [0.001, 86_400], bad: [0, -1, 86_400.1, '5', Number.POSITIVE_INFINITY] },
  queue_timeout_s: { good: [0.001, 86_400], bad: [0, -1, 86_400.1, '5'] },
  cache: { good: ['use', 'refresh', 'off'], bad: ['', 'USE', true] },
  fallback: { good: [true, false], bad: ['true', 1, 0] },
  clear_queue: { good: [true, false], bad: ['true', 1, 0] },
  metadata: {
    good: [{}, { a: '' }, { ['k'.repeat(64)]: 'v'.repeat(1024) }],
    bad: [[], 'a', Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`${at}`, 'a']))],
  },
};

describe('the strict request', () => {
  it('has a limit for every field, and takes what is on it', () => {
    expect(Object.keys(LIMITS).sort()).toEqual(Object.keys(renderRequestFields).sort());
    for (const [name, { good, bad }] of Object.entries(LIMITS)) {
      for (const value of good) expect(badFields({ [name]: value }), `${name} ${JSON.stringify(value)}`).toEqual([]);
      for (const value of bad) expect(badFields({ [name]: value }), `${name} ${JSON.stringify(value)}`).toEqual([name]);
    }
  });

  it('names what is wrong inside of a field', () => {
    expect(
      badFields({
        loras: [
          { path: 'a', scale: 1 },
          { path: '', scale: 11 },
        ],
      }),
    ).toEqual(['loras.1.path', 'loras.1.scale']);
    expect(badFields({ loras: [{ path: 'a' }] })).toEqual(['loras.0.scale']);
    expect(badFields({ metadata: { a: 1, b: 'x'.repeat(1025) } })).toEqual(['metadata.a', 'metadata.b']);
    expect(badFields({ depth_map: { image_data: '', uri: 7 } })).toEqual(['depth_map.image_data', 'depth_map.uri']);
  });

  it('names every unknown key, also below', () => {
    expect(
      badFields({ promt: 'a', Width: 1, mask: { uri: 'a', url: 'b' }, loras: [{ path: 'a', scale: 1, x: 1 }] }),
    ).toEqual(['Width', 'loras.0.x', 'mask.url', 'promt'].sort());
  });

  it('takes null for absent, except for the prompt', () => {
    const nulls = Object.fromEntries(Object.keys(renderRequestFields).map((name) => [name, null]));
    const parsed = strictRenderRequest.parse({ ...nulls, prompt });
    expect(withoutNulls(parsed)).toEqual({ prompt });
    expect(badFields({ prompt: undefined })).toEqual(['prompt']);
  });

  it('changes nothing in what it takes', () => {
    const request = { prompt: ' a ', seed: 0, strength: 0, clear_queue: false, negative_prompt: '', metadata: {} };
    expect(withoutNulls(strictRenderRequest.parse(request))).toEqual(request);
  });
});

describe('the error of an invalid request', () => {
  it('names every field in its message, within bounds', () => {
    const error: AppError = invalidRequest([
      { path: 'width', message: 'must be small' },
      { path: '', message: 'must be an object' },
    ]);
    expect(error).toMatchObject({ code: 'invalid_request', message: 'width: must be small; must be an object' });
    const many = invalidRequest(Array.from({ length: 10_000 }, (_, at) => ({ path: `key${at}`, message: 'is bad' })));
    expect(many.message.length).toBeLessThanOrEqual(2000);
    expect(many.issues).toHaveLength(50);
  });
});
