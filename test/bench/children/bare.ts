import { join } from 'node:path';
import { MockImageGenerator } from '../../../src/generators/mock/mock-generator.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import { createFileImageStore } from '../../../src/store/file-image-store.ts';
import { createInserts } from './parts.ts';

/** What a baseline draws, encodes and stores with: our strokes, encoder and durable writes, and nothing around them. */
export async function openBare(dir: string) {
  const images = createImages({ maxPixels: 2 ** 28, maxBytes: 2 ** 28 });
  const store = await createFileImageStore({ dir: join(dir, 'images') });
  const generator = new MockImageGenerator({
    style: 'placeholder',
    delayMs: 0,
    steps: 1,
    drawing: images,
    clock: systemClock,
  });
  await generator.start();
  return { images, store, generator, inserts: createInserts(dir) };
}
