import type { Images } from '../../store/images.ts';
import type { InputImage, RawPixels, Work } from '../generator.ts';
import type { EditImages, ImageFile } from './request.ts';

/** What reading and writing of images the edits need. */
export type EditDrawing = Pick<Images, 'inspect' | 'cover' | 'encode'>;

/**
 * The images of work that has a reference image. With a mask both are brought to `size`, since they must be of one
 * size, and what is white in our mask becomes transparent in theirs.
 */
export async function editImagesOf(
  { referenceImage, mask }: Pick<Work, 'mask'> & { readonly referenceImage: InputImage },
  size: { readonly width: number; readonly height: number },
  drawing: EditDrawing,
): Promise<EditImages> {
  if (mask === undefined) {
    const { format } = await drawing.inspect(referenceImage.bytes);
    return { image: { bytes: referenceImage.bytes, type: `image/${format}` }, mask: undefined };
  }
  const image = await drawing.cover(referenceImage.bytes, size);
  const holes = transparentWhereWhite(await drawing.cover(mask.bytes, size));
  return { image: await pngOf(image, drawing), mask: await pngOf(holes, drawing) };
}

async function pngOf(pixels: RawPixels, drawing: EditDrawing): Promise<ImageFile> {
  const { bytes } = await drawing.encode({ kind: 'raw', pixels }, { format: 'png', quality: 100 });
  return { bytes, type: 'image/png' };
}

/** Only what is wholly transparent is drawn anew, so that a mask has but two values. One channel of the grey says all. */
function transparentWhereWhite({ data, width, height, channels }: RawPixels): RawPixels {
  const masked = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    masked[pixel * 4 + 3] = (data[pixel * channels] ?? 0) < 128 ? 255 : 0;
  }
  return { data: masked, width, height, channels: 4 };
}
