import { configSchema } from '../../../src/config/schema.ts';
import type { LocalSDXLOptions } from '../../../src/generators/local-sdxl/local-sdxl-generator.ts';
import { LocalSDXLGenerator } from '../../../src/generators/local-sdxl/local-sdxl-generator.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

/** What a test changes of a generator. */
export interface LocalSdxlChanges extends Omit<Partial<LocalSDXLOptions>, 'config'> {
  readonly config: Partial<LocalSDXLOptions['config']>;
}

/** A generator on the real clock with a silent log, not started. */
export function localSdxl({ config, ...changes }: LocalSdxlChanges): LocalSDXLGenerator {
  return new LocalSDXLGenerator({
    config: configSchema.parse({ local_sdxl: { threads: 1, ...config } }).local_sdxl,
    required: true,
    drawing,
    clock: systemClock,
    log: silent,
    observeStep: () => {},
    onHealth: () => {},
    ...changes,
  });
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
