import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { GENERATOR_NAMES, generatorFactories, generatorSettings } from '../../src/generators/index.ts';
import { createImages } from '../../src/store/convert.ts';
import { ManualClock } from '../manual-clock.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

describe('the table of generators', () => {
  it.each(GENERATOR_NAMES)('builds %s under its own name, not started', async (name) => {
    const generator = generatorFactories[name]({
      config: configSchema.parse({}),
      drawing,
      clock: new ManualClock(),
      secrets: {},
      observeUpstream: () => {},
    });
    expect(generator.name).toBe(name);
    expect(generator.health().state).toBe('starting');
    await generator.close();
  });

  it('has a row for each name', () => {
    expect(Object.keys(generatorFactories)).toEqual([...GENERATOR_NAMES]);
  });

  it('hands the settings of [mock] on', async () => {
    const config = configSchema.parse({ mock: { style: 'existing' } });
    const generator = generatorFactories.mock({
      config,
      drawing,
      clock: new ManualClock(),
      secrets: {},
      observeUpstream: () => {},
    });
    await expect(generator.start()).rejects.toMatchObject({ code: 'config_invalid' });
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
