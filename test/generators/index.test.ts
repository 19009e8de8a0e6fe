import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import type { Secrets } from '../../src/config/secrets.ts';
import { Secret } from '../../src/config/secrets.ts';
import { chooseGenerator } from '../../src/generators/aliases.ts';
import type { GeneratorParts } from '../../src/generators/index.ts';
import {
  createGenerators,
  GENERATOR_NAMES,
  generatorFactories,
  generatorSettings,
} from '../../src/generators/index.ts';
import { createImages } from '../../src/store/convert.ts';
import { ManualClock } from '../manual-clock.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

/** A configuration in which no generator lacks anything. */
const complete = { vastai: { base_url: 'http://203.0.113.7:8000' }, local_sdxl: { model_dir: '/models/sdxl' } };
const key = new Secret('k');
const secrets: Secrets = { fal: { key }, openai: { key }, runware: { key } };

function parts(config: object = {}): GeneratorParts {
  const clock = new ManualClock();
  return {
    config: configSchema.parse(config),
    drawing,
    clock,
    secrets,
    observeUpstream: () => {},
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    observeStep: () => {},
    onHealth: () => {},
  };
}

describe('the table of generators', () => {
  it.each(GENERATOR_NAMES)('builds %s under its own name, not started', async (name) => {
    const generator = generatorFactories[name](parts(complete));
    expect(generator.name).toBe(name);
    expect(generator.health().state).toBe('starting');
    await generator.close();
  });

  it('has a row for each name', () => {
    expect(Object.keys(generatorFactories)).toEqual([...GENERATOR_NAMES]);
  });

  it('hands the settings of [mock] on', async () => {
    const generator = generatorFactories.mock(parts({ mock: { style: 'existing' } }));
    await expect(generator.start()).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

describe('the generators of a server', () => {
  it('are all there, those without their key or address disabled with the reason', () => {
    const served = createGenerators({ ...parts(), secrets: {} });
    expect([...served.keys()]).toEqual([...GENERATOR_NAMES]);
    expect(served.get('fal')?.generator.health()).toEqual({
      state: 'disabled',
      reason: 'It has no key: set FAL_KEY, or [fal] key_file.',
    });
    expect(served.get('local_sdxl')?.generator.health()).toEqual({
      state: 'disabled',
      reason: 'It has no model: set [local_sdxl] model_dir to the folder of one.',
    });
  });

  it.each([
    ['none', 'must be one of mock, '],
    ['fal', 'the generator fal cannot be used. It has no key: set FAL_KEY, or [fal] key_file.'],
    ['fal_comfy', 'the generator fal cannot be used. It has no key: set FAL_KEY, or [fal] key_file.'],
    [
      'sdxl',
      'the generator local_sdxl cannot be used. It has no model: set [local_sdxl] model_dir to the folder of one.',
    ],
    ['mock/other', 'mock has no model of this name'],
  ])('cannot have %s as the default', (strategy, reason) => {
    const config = configSchema.parse({ generator: { strategy } });
    expect(() => createGenerators({ ...parts(), config, secrets: {} })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(reason) }),
    );
  });
});

describe('a generator’s name', () => {
  it.each([
    ['mock', { generator: 'mock' }],
    ['sdxl', { generator: 'local_sdxl' }],
    ['falai', { generator: 'fal' }],
    ['fal_comfy', { generator: 'fal', model: 'fal_comfy' }],
    ['falai_lightning_i2i', { generator: 'fal', model: 'falai_lightning_i2i' }],
    ['fal_lightning_i2i', { generator: 'fal', model: 'falai_lightning_i2i' }],
    ['fal/fal-ai/flux/dev', { generator: 'fal', model: 'fal-ai/flux/dev' }],
  ])('%s means what it says, or what Experimance means by it', (name, choice) => {
    expect(chooseGenerator(name)).toEqual(choice);
  });
});

describe('the settings of a generator', () => {
  it('are those of its own block', () => {
    const config = configSchema.parse({ mock: { concurrency: 3, timeout: 1.5 } });
    expect(generatorSettings(config, 'mock')).toEqual({ concurrency: 3, timeoutMs: 1500 });
  });

  it('take the time from [generator] when their own block has none', () => {
    const config = configSchema.parse({ generator: { timeout: 7 } });
    expect(generatorSettings(config, 'mock')).toEqual({ concurrency: 1, timeoutMs: 7000 });
  });
});
