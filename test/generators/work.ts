import { createHash } from 'node:crypto';
import type { InputImage, Work } from '../../src/generators/generator.ts';

/** Small work with nothing optional, changed by `parts`. */
export function makeWork(parts: Partial<Work> = {}): Work {
  return { workId: 'work-1', prompt: 'a lighthouse in fog', width: 64, height: 64, seed: 7, numImages: 1, ...parts };
}

/** `bytes` as a generator gets input images. */
export function inputImage(bytes: Uint8Array): InputImage {
  return { imageId: createHash('sha256').update(bytes).digest('hex'), bytes };
}
