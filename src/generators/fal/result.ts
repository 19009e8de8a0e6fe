import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { malformedAnswer } from '../remote/failures.ts';
import { PROVIDER, rejected } from './provider.ts';

const address = z.string().min(1).max(50_000_000);
const image = z.union([
  address.transform((url) => ({ url, width: undefined, height: undefined })),
  z.object({ url: address, width: z.number().nullish(), height: z.number().nullish() }),
]);
const images = z.union([z.array(image), image.transform((one) => [one])]);

/** What endpoints answer: models with `images` or `image`, workflows with `outputs` by node. */
export const falResult = z.object({
  images: images.optional(),
  image: images.optional(),
  outputs: z.record(z.string(), z.object({ images: images.optional(), image_output: images.optional() })).optional(),
  has_nsfw_concepts: z.array(z.boolean()).nullish(),
});
/** An answer of `falResult`. */
export type FalResult = z.infer<typeof falResult>;

/** An image of a result. Sizes are as the provider says, if it does. */
export type FalImage = z.infer<typeof images>[number];

/** The first `wanted` images. Throws `content_rejected` when one was flagged, `invalid_output` when there are fewer. */
export function imagesOf(result: FalResult, wanted: number): FalImage[] {
  if (result.has_nsfw_concepts?.some((flagged) => flagged) === true) throw rejected();
  const [output] = Object.values(result.outputs ?? {});
  const found = result.images ?? result.image ?? output?.images ?? output?.image_output;
  if (found === undefined) throw malformedAnswer(PROVIDER);
  if (found.length >= wanted) return found.slice(0, wanted);
  throw new AppError('invalid_output', `${PROVIDER} made ${found.length} of ${wanted} images.`);
}
