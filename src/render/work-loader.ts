import { AppError, asAppError } from '../errors.ts';
import type { InputImage, Work } from '../generators/generator.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { WorkSpec } from './records.ts';

/** Creates what brings a work together with its input images. Throws `image_evicted`, or as the store. */
export function createWorkLoader(store: Pick<ImageStore, 'readInput'>) {
  return async function loadWork(workId: string, spec: WorkSpec): Promise<Work> {
    const load = async (field: string, imageId: string | undefined): Promise<InputImage | undefined> =>
      imageId === undefined ? undefined : { imageId, bytes: await readInput(field, imageId) };
    const { outputFormat: _, quality: _q, referenceImage, depthMap, mask, ...same } = spec;
    return {
      ...same,
      workId,
      referenceImage: await load('reference_image', referenceImage),
      depthMap: await load('depth_map', depthMap),
      mask: await load('mask', mask),
    };
  };

  /** Nobody but somebody who deletes files takes it away: it is kept as long as a render waits for it. */
  async function readInput(field: string, imageId: string): Promise<Buffer> {
    try {
      return await store.readInput(imageId);
    } catch (error) {
      if (asAppError(error).code !== 'image_not_found') throw error;
      const message = `The ${field} of this render was deleted before it was drawn; send it again.`;
      throw new AppError('image_evicted', message, { cause: error });
    }
  }
}
