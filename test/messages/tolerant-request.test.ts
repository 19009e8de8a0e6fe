import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { renderRequestFields } from '../../src/messages/fields.ts';
import { PROJECTS } from '../../src/messages/projects.ts';
import type { TolerantRequest } from '../../src/messages/render-request.ts';
import { parseTolerantRequest, strictRenderRequest } from '../../src/messages/render-request.ts';

const prompt = 'a delta';

function parse(message: object): TolerantRequest {
  return parseTolerantRequest({ prompt, ...message });
}

/** What became of one field. */
function read(name: string, value: unknown): unknown {
  return Object.entries(parse({ [name]: value }).request).find(([field]) => field === name)?.[1];
}

function refusal(message: unknown): AppError {
  try {
    parseTolerantRequest(message);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the tolerant request', () => {
  it('reads numbers as pydantic does', () => {
    for (const value of [512, 512.0, '512', ' 512 ', '512.0', '+512', '5.12e2', '0512'])
      expect(read('width', value), JSON.stringify(value)).toBe(512);
    expect(read('seed', true)).toBe(1);
    expect(read('seed', false)).toBe(0);
    expect(read('guidance_scale', '7.5')).toBe(7.5);
    expect(read('strength', '0.25')).toBe(0.25);
    expect(read('timeout_s', '30')).toBe(30);
    expect(read('queue_timeout_s', '30')).toBe(30);
    expect(read('fallback', 'no')).toBe(false);
    expect(read('steps', '20')).toBe(20);
  });

  it('reads booleans as pydantic does', () => {
    for (const value of [true, 1, '1', 'true', 'True', 't', 'yes', 'Y', 'on'])
      expect(read('clear_queue', value), String(value)).toBe(true);
    for (const value of [false, 0, '0', 'false', 'FALSE', 'f', 'no', 'N', 'off'])
      expect(read('clear_queue', value), String(value)).toBe(false);
    for (const value of ['maybe', 2, '', [], {}])
      expect(refusal({ prompt, clear_queue: value }).issues[0]?.path, String(value)).toBe('clear_queue');
  });

  it('takes null for absent in every field but the prompt', () => {
    const nulls = Object.fromEntries(Object.keys(renderRequestFields).map((name) => [name, null]));
    expect(parseTolerantRequest({ ...nulls, prompt })).toEqual({ request: { prompt }, ignored: [] });
    expect(refusal({ prompt: null }).issues[0]?.path).toBe('prompt');
  });

  it('clamps sizes and strengths, and wraps seeds', () => {
    expect(parse({ width: 10, height: 1e9 }).request).toMatchObject({ width: 64, height: 4096 });
    expect(parse({ width: -5, height: '0' }).request).toMatchObject({ width: 64, height: 64 });
    expect(parse({ strength: 1.5 }).request).toMatchObject({ strength: 1 });
    expect(parse({ strength: -1 }).request).toMatchObject({ strength: 0 });
    expect(read('seed', -1)).toBe(2 ** 32 - 1);
    expect(read('seed', 2 ** 32)).toBe(0);
    expect(read('seed', 2 ** 32 + 5)).toBe(5);
    for (const seed of [2 ** 53, -(2 ** 63), 2 ** 64, 1.7e308, '-98765432109876543210']) {
      const value = read('seed', seed);
      expect(Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32, String(seed)).toBe(true);
    }
  });

  it('refuses bad values in the fields that Experimance has, naming all of them', () => {
    const bad = {
      prompt: ' ',
      negative_prompt: 7,
      generator: 5,
      width: 'wide',
      height: 512.5,
      seed: {},
      strength: 'strong',
      style: [],
      era: 7,
      biome: [],
      reference_image: 'a',
      depth_map: [1],
      clear_queue: 'maybe',
    };
    const { code, issues, message } = refusal(bad);
    expect(code).toBe('invalid_request');
    for (const name of Object.keys(bad)) {
      expect(issues.map(({ path }) => path.split('.')[0])).toContain(name);
      expect(message).toContain(name);
    }
  });

  it('takes empty text for absent where it can mean nothing else', () => {
    const empty = { generator: '', style: '', era: '', biome: '' };
    expect(parse(empty)).toEqual({ request: { prompt }, ignored: [] });
    expect(parse({ negative_prompt: '' }).request).toEqual({ prompt, negative_prompt: '' });
    expect(refusal({ prompt: '' }).issues[0]?.path).toBe('prompt');
  });

  it('drops bad values in the fields that the project does not have, and keeps good ones', () => {
    const { foreign } = PROJECTS.fire;
    const place = { era: 7, biome: 'x'.repeat(65) };
    expect(parseTolerantRequest({ prompt, ...place }, foreign)).toEqual({
      request: { prompt },
      ignored: ['era', 'biome'],
    });
    expect(parseTolerantRequest({ prompt, era: 'dusk' }, foreign).request).toEqual({ prompt, era: 'dusk' });
    expect(refusal({ prompt, ...place }).issues.map(({ path }) => path)).toEqual(['era', 'biome']);
    expect(() => parseTolerantRequest({ prompt, strength: 'strong' }, foreign)).toThrow('strength');
    expect(parseTolerantRequest({ prompt, strength: 'strong' }, PROJECTS.experimance.foreign).ignored).toEqual([
      'strength',
    ]);
  });

  it('drops bad values in the fields that are ours alone, and says so', () => {
    const bad = {
      num_images: 0,
      steps: 'many',
      guidance_scale: 1000,
      loras: 'lora',
      mask: 'mask',
      output_format: 'gif',
      quality: 0,
      priority: 99,
      timeout_s: -1,
      queue_timeout_s: 0,
      cache: 'maybe',
      fallback: 'perhaps',
      metadata: { a: 1 },
    };
    const { request, ignored } = parse({ ...bad, seed: '5' });
    expect(request).toEqual({ prompt, seed: 5 });
    expect([...ignored].sort()).toEqual(Object.keys(bad).sort());
  });

  it('has no field that it would drop or refuse without a test', () => {
    const ours = Object.entries(renderRequestFields).filter(([, { experimance }]) => !experimance);
    expect(ours.map(([name]) => name).sort()).toEqual(
      ['guidance_scale', 'loras', 'mask', 'metadata', 'num_images', 'output_format', 'priority', 'quality', 'steps']
        .concat('timeout_s', 'queue_timeout_s', 'cache', 'fallback')
        .sort(),
    );
  });

  it('refuses a request as soon as one of its bad values is Experimance’s', () => {
    const { issues } = refusal({ prompt, quality: 0, width: 'wide' });
    expect(issues.map(({ path }) => path).sort()).toEqual(['quality', 'width']);
  });

  it('ignores unknown fields, also below', () => {
    const { request, ignored } = parse({
      type: 'RenderRequest',
      promt: 'x',
      constructor: 7,
      depth_map: { image_data: 'abcd', uri: null, width: 5, extra: {} },
    });
    expect(request).toEqual({ prompt, depth_map: { image_data: 'abcd' } });
    expect(ignored).toEqual([]);
  });

  it('takes the image that there is: image_data before uri, and none when both are empty', () => {
    expect(read('depth_map', { image_data: 'abcd', uri: 'file:///a' })).toEqual({ image_data: 'abcd' });
    expect(read('depth_map', { image_data: null, uri: 'file:///a' })).toEqual({ uri: 'file:///a' });
    expect(read('depth_map', { image_data: '', uri: 'file:///a' })).toEqual({ uri: 'file:///a' });
    for (const none of [{ image_data: null, uri: null }, { image_data: '', uri: '' }, {}, null])
      expect(read('reference_image', none), JSON.stringify(none)).toBeUndefined();
    expect(refusal({ prompt, depth_map: { image_data: 7 } }).issues[0]?.path).toBe('depth_map.image_data');
  });

  it('reads depth_map_png of older messages, unless there is a depth_map', () => {
    expect(parse({ depth_map_png: 'abcd' }).request).toEqual({ prompt, depth_map: { image_data: 'abcd' } });
    expect(parse({ depth_map_png: 'abcd', depth_map: null }).request.depth_map).toEqual({ image_data: 'abcd' });
    expect(parse({ depth_map_png: 'abcd', depth_map: { uri: '/a' } }).request.depth_map).toEqual({ uri: '/a' });
    expect(parse({ depth_map_png: null }).request).toEqual({ prompt });
    expect(parse({ depth_map_png: '' }).request).toEqual({ prompt });
  });

  it('keeps any request_id that is not empty, as it is', () => {
    for (const id of ['x', ' a b ', '../../etc', 'ü🎨', 'a\r\nb\0', 'x'.repeat(4096), '7'])
      expect(read('request_id', id)).toBe(id);
    expect(refusal({ prompt, request_id: '' }).issues[0]?.path).toBe('request_id');
    expect(refusal({ prompt, request_id: 'x'.repeat(4097) }).issues[0]?.path).toBe('request_id');
    expect(refusal({ prompt, request_id: 7 }).issues[0]?.path).toBe('request_id');
  });

  it('gives requests that the strict schema takes as well, but for the request_id', () => {
    const { request } = parse({ width: '10', seed: -7, strength: 5, quality: '0', depth_map_png: 'abcd', mask: {} });
    expect(strictRenderRequest.safeParse(request).success).toBe(true);
  });

  it('refuses what is no object', () => {
    for (const value of [null, undefined, 7, 'prompt', true, [], [{ prompt }]])
      expect(refusal(value).code, JSON.stringify(value)).toBe('invalid_request');
  });
});

describe('any JSON value', () => {
  /** Numbers that look random and are the same in every run: a linear congruence of Numerical Recipes. */
  function numbers(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  const LEAVES = [
    null,
    true,
    false,
    0,
    -0,
    -1,
    1.5,
    1e308,
    -1e308,
    2 ** 53,
    '',
    ' ',
    'a',
    '512',
    '1e999',
    'true',
    'NaN',
    '\ud800',
    '\0',
    'x'.repeat(20_000),
    'png',
    'file:///etc/passwd',
    '__proto__',
  ];
  const KEYS = [
    ...Object.keys(renderRequestFields),
    'type',
    'depth_map_png',
    'image_data',
    'uri',
    'path',
    'scale',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
    '0',
    'length',
  ];

  function anyValue(next: (below: number) => number, depth: number): unknown {
    const kind = depth > 4 ? 0 : next(4);
    if (kind <= 1) return LEAVES[next(LEAVES.length)];
    const size = next(6);
    if (kind === 2) return Array.from({ length: size }, () => anyValue(next, depth + 1));
    return anyObject(next, depth, size);
  }

  function anyObject(next: (below: number) => number, depth: number, size: number): object {
    const keys = Array.from({ length: size }, () => KEYS[next(KEYS.length)] ?? '');
    return Object.fromEntries(keys.map((key) => [key, anyValue(next, depth + 1)]));
  }

  it('is read or refused with an AppError, by either schema', () => {
    let taken = 0;
    for (let seed = 1; seed <= 3000; seed += 1) {
      const next = numbers(seed);
      const value =
        seed % 3 === 0 ? anyValue(next, 0) : { prompt, request_id: 'a', ...anyObject(next, 1, 1 + next(5)) };
      strictRenderRequest.safeParse(value);
      try {
        const { request, ignored } = parseTolerantRequest(value);
        taken += 1;
        // Nothing that was tolerated may surprise anybody behind.
        const { request_id: _, ...rest } = request;
        expect(strictRenderRequest.safeParse(rest).error, JSON.stringify(value).slice(0, 500)).toBeUndefined();
        for (const name of ignored) expect(renderRequestFields[name].experimance).toBe(false);
      } catch (error) {
        if (!(error instanceof AppError)) throw new Error(`seed ${seed}`, { cause: error });
        expect(error.code).toBe('invalid_request');
        expect(error.message).not.toBe('');
      }
    }
    expect(taken).toBeGreaterThan(100);
  });
});
