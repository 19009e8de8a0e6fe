import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import { createImages } from '../../../src/store/convert.ts';
import { generatorConformance } from '../conformance.ts';

const drawing = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

generatorConformance('the mock generator with landscapes', {
  create: async (clock) => new MockImageGenerator({ style: 'terrain', delayMs: 1000, steps: 4, drawing, clock }),
});
