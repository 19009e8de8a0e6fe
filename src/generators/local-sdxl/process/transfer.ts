import type { RawPixels } from '../../generator.ts';
import type { Chunk, ImageSize } from './protocol.ts';
import { CHUNK_BYTES } from './protocol.ts';

const CHANNELS = 3;

/** Sends the pixels of one image in pieces, the next one when the last has left. */
export async function sendPixels(
  send: (chunk: Chunk) => Promise<void>,
  { id, index, data }: Pick<Chunk, 'id' | 'index' | 'data'>,
): Promise<void> {
  for (let offset = 0; offset < data.length; offset += CHUNK_BYTES) {
    await send({ kind: 'chunk', id, index, offset, data: data.subarray(offset, offset + CHUNK_BYTES) });
  }
}

/** Puts images together whose pixels come in pieces. */
export interface Receiver {
  take(chunk: Chunk): void;
  /** Resolves when all pixels have come. */
  readonly complete: Promise<void>;
  /** All images, RGB. Throws when pixels are missing. */
  finish(): RawPixels[];
}

/** Makes room for images of these sizes. */
export function createReceiver(sizes: readonly ImageSize[]): Receiver {
  const images = sizes.map(({ width, height }) => ({
    pixels: { data: new Uint8Array(width * height * CHANNELS), width, height, channels: CHANNELS } as const,
    missing: width * height * CHANNELS,
  }));
  const complete = Promise.withResolvers<void>();
  const check = (): void => {
    if (images.every(({ missing }) => missing === 0)) complete.resolve();
  };
  check();
  return {
    complete: complete.promise,
    take({ index, offset, data }) {
      const image = images[index];
      if (image === undefined) throw new Error('pixels came for an image that is not expected');
      image.pixels.data.set(data, offset);
      image.missing -= data.length;
      check();
    },
    finish() {
      if (images.some(({ missing }) => missing !== 0)) throw new Error('not all pixels of an image came');
      return images.map(({ pixels }) => pixels);
    },
  };
}
