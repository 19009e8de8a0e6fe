import { describe, expect, it } from 'vitest';
import type { GeneratorCapabilities } from '../../src/generators/generator.ts';
import type { OptionalField } from '../../src/messages/fields.ts';
import { MAX_SEED } from '../../src/messages/fields.ts';
import { PROJECTS } from '../../src/messages/projects.ts';
import type { RenderRequest } from '../../src/messages/render-request.ts';
import { withoutNulls } from '../../src/messages/render-request.ts';
import type { InputIds } from '../../src/render/resolve.ts';
import {
  acceptedRequest,
  checkPlace,
  fitToGenerator,
  hashBody,
  resolveSize,
  resolveWork,
} from '../../src/render/resolve.ts';

const SIZES = { default: { width: 512, height: 256 }, min: 128, max: 1024, multipleOf: 64 };
const IMAGE = 'a'.repeat(64);
const OTHER_IMAGE = 'b'.repeat(64);

describe('the size', () => {
  it('is the generator’s own when none is asked for, side by side', () => {
    expect(resolveSize(SIZES, {})).toEqual({ width: 512, height: 256 });
    expect(resolveSize(SIZES, { width: 640 })).toEqual({ width: 640, height: 256 });
    expect(resolveSize(SIZES, { height: 640 })).toEqual({ width: 512, height: 640 });
  });

  it.each([
    [640, 640],
    [641, 640],
    [671, 640],
    [672, 704],
    [64, 128],
    [100, 128],
    [1024, 1024],
    [4096, 1024],
  ])('%i becomes the nearest that it renders, %i', (wanted, rendered) => {
    expect(resolveSize(SIZES, { width: wanted, height: wanted })).toEqual({ width: rendered, height: rendered });
  });
});

describe('the place', () => {
  const place = (request: Partial<RenderRequest>, project: keyof typeof PROJECTS, door: 'rest' | 'bus') => () =>
    checkPlace({ prompt: 'x', ...request }, PROJECTS[project], door);

  it('must be one of the project’s', () => {
    expect(place({ era: 'modern', biome: 'river' }, 'experimance', 'bus')).not.toThrow();
    expect(place({ era: 'atlantis', biome: 'moon' }, 'experimance', 'rest')).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        issues: [
          { path: 'era', message: expect.stringContaining('wilderness') },
          { path: 'biome', message: expect.stringContaining('rainforest') },
        ],
      }),
    );
  });

  it('must be there on the bus only, where the core would discard the answer', () => {
    expect(place({}, 'experimance', 'rest')).not.toThrow();
    expect(place({ era: 'modern' }, 'experimance', 'bus')).toThrow('biome: is required here');
  });

  it('is free in other projects', () => {
    for (const project of ['fire', 'base'] as const) {
      expect(place({}, project, 'bus')).not.toThrow();
      expect(place({ era: 'atlantis' }, project, 'bus')).not.toThrow();
    }
  });
});

describe('what a generator cannot honour', () => {
  const capabilities = (fields: OptionalField[], changes: Partial<GeneratorCapabilities> = {}) => ({
    fields: new Set(fields),
    seeds: true,
    maxImages: 4,
    previews: false,
    ...changes,
  });
  const REQUEST = {
    prompt: 'x',
    style: 'ink',
    steps: 4,
    seed: 9,
    num_images: 6,
    depth_map: { image_data: 'AAAA' },
    metadata: { a: 'b' },
  } satisfies RenderRequest;

  it('is nothing when it can do everything', () => {
    const able = capabilities(['style', 'steps', 'depth_map'], { maxImages: 6 });
    for (const mode of ['strict', 'tolerant'] as const) {
      expect(fitToGenerator(REQUEST, 'draw', able, mode)).toEqual({ request: REQUEST, ignored: [] });
    }
  });

  it('is refused all at once in mode strict, by name', () => {
    const fit = () => fitToGenerator(REQUEST, 'draw', capabilities(['steps'], { seeds: false }), 'strict');
    expect(fit).toThrow(
      expect.objectContaining({
        code: 'unsupported_field',
        issues: [
          { path: 'style', message: 'is not supported by the generator draw' },
          { path: 'depth_map', message: 'is not supported by the generator draw' },
          { path: 'seed', message: 'is not supported by the generator draw' },
          { path: 'num_images', message: 'must be at most 4 for the generator draw' },
        ],
      }),
    );
  });

  it('is dropped in mode tolerant, and named', () => {
    const fitted = fitToGenerator(REQUEST, 'draw', capabilities(['steps'], { seeds: false }), 'tolerant');
    expect(fitted.request).toEqual({ prompt: 'x', steps: 4, num_images: 4, metadata: { a: 'b' } });
    expect(fitted.ignored).toEqual(['style', 'depth_map', 'seed', 'num_images']);
  });

  it('leaves one image as the default of a generator that makes one', () => {
    const fitted = fitToGenerator({ prompt: 'x' }, 'draw', capabilities([], { maxImages: 1 }), 'strict');
    expect(fitted.ignored).toEqual([]);
  });
});

describe('the hash of a body', () => {
  const hash = (request: RenderRequest, inputs: InputIds = {}) => hashBody(acceptedRequest(request, inputs));
  const BASE = { prompt: 'x', seed: 7, metadata: { a: '1', b: '2' }, loras: [{ path: 'p', scale: 1 }] };

  it('does not see the order of keys', () => {
    const turned = { loras: [{ scale: 1, path: 'p' }], metadata: { b: '2', a: '1' }, seed: 7, prompt: 'x' };
    expect(hash(turned)).toBe(hash(BASE));
    expect(hash(BASE)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not see the request_id, nor what is null', () => {
    expect(hash({ ...BASE, request_id: 'one' })).toBe(hash(BASE));
    expect(hash(withoutNulls({ ...BASE, era: null, steps: undefined }))).toBe(hash(BASE));
  });

  it('sees every value that was set', () => {
    const changes: Partial<RenderRequest>[] = [
      { prompt: 'y' },
      { seed: 8 },
      { metadata: { a: '1' } },
      { priority: 0 },
      { clear_queue: true },
      { generator: 'draw' },
    ];
    const hashes = changes.map((change) => hash({ ...BASE, ...change }));
    expect(new Set([hash(BASE), ...hashes]).size).toBe(changes.length + 1);
  });

  it('sees an input image by its content, however it came', () => {
    const sent = hash({ ...BASE, depth_map: { image_data: 'AAAA' } }, { depth_map: IMAGE });
    expect(hash({ ...BASE, depth_map: { uri: '/srv/a.png' } }, { depth_map: IMAGE })).toBe(sent);
    expect(hash({ ...BASE, depth_map: { image_data: 'AAAA' } }, { depth_map: OTHER_IMAGE })).not.toBe(sent);
    expect(hash({ ...BASE, mask: { image_data: 'AAAA' } }, { mask: IMAGE })).not.toBe(sent);
    expect(hash(BASE)).not.toBe(sent);
  });
});

describe('the request as it is kept', () => {
  it('has images by content and no id', () => {
    const request = { request_id: 'one', prompt: 'x', mask: { image_data: 'AAAA' }, depth_map: { uri: '/srv/a.png' } };
    expect(acceptedRequest(request, { mask: IMAGE, depth_map: OTHER_IMAGE })).toEqual({
      prompt: 'x',
      mask: { image_id: IMAGE },
      depth_map: { image_id: OTHER_IMAGE },
    });
  });
});

describe('the work', () => {
  it('has every choice of the request', () => {
    const request = {
      prompt: 'x',
      negative_prompt: 'y',
      width: 640,
      height: 640,
      seed: 0,
      num_images: 3,
      steps: 5,
      guidance_scale: 0,
      strength: 0,
      style: 'ink',
      loras: [{ path: 'p', scale: 0.5 }],
      era: 'modern',
      biome: 'river',
      output_format: 'jpeg',
      quality: 50,
    } as const satisfies RenderRequest;
    const inputs = { reference_image: IMAGE, depth_map: OTHER_IMAGE, mask: IMAGE };
    expect(resolveWork({ ...request, loras: [...request.loras] }, inputs, SIZES, { outputFormat: 'png' })).toEqual({
      prompt: 'x',
      negativePrompt: 'y',
      width: 640,
      height: 640,
      seed: 0,
      numImages: 3,
      steps: 5,
      guidanceScale: 0,
      strength: 0,
      style: 'ink',
      loras: [{ path: 'p', scale: 0.5 }],
      era: 'modern',
      biome: 'river',
      referenceImage: IMAGE,
      depthMap: OTHER_IMAGE,
      mask: IMAGE,
      outputFormat: 'jpeg',
      quality: 50,
    });
  });

  it('has a default for the rest, and a seed that fits in 32 bits', () => {
    const works = Array.from({ length: 50 }, () => resolveWork({ prompt: 'x' }, {}, SIZES, { outputFormat: 'jpeg' }));
    for (const { seed, ...work } of works) {
      expect(work).toMatchObject({ width: 512, height: 256, numImages: 1, outputFormat: 'jpeg', quality: 90 });
      expect(Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED).toBe(true);
    }
    expect(new Set(works.map(({ seed }) => seed)).size).toBeGreaterThan(40);
  });
});
