import type { Config } from '../../config/schema.ts';
import type { Work } from '../generator.ts';
import { sizesOf } from './models.ts';

/** What of the configuration goes into a request. */
export type RequestOptions = Pick<Config['openai'], 'model' | 'quality' | 'moderation'>;
type Quality = RequestOptions['quality'];

/** An image as a file of a form. */
export interface ImageFile {
  readonly bytes: Uint8Array;
  /** As in `image/png`. */
  readonly type: string;
}

/** The images of an edit; the mask is transparent where the image is to be drawn anew. */
export interface EditImages {
  readonly image: ImageFile;
  readonly mask: ImageFile | undefined;
}

/** A request as it is sent. */
export interface PreparedRequest {
  /** Below the base URL. */
  readonly path: '/images/generations' | '/images/edits';
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Up to here, in denoising steps, a sketch is wanted; up to the second, an ordinary picture. */
const FEW_STEPS = 15;
const MANY_STEPS = 35;

/** The parameters that all requests have. `previews` above 0 asks for a stream with so many partial images. */
export function parametersOf(work: Work, options: RequestOptions, previews: number) {
  const { width, height } = sizesOf(options.model).nearest(work);
  return {
    model: options.model,
    prompt: work.prompt,
    size: `${width}x${height}`,
    quality: qualityOf(work.steps) ?? options.quality,
    n: work.numImages,
    output_format: 'png',
    ...(previews > 0 ? { stream: true, partial_images: previews } : {}),
  };
}

/** GPT models have no steps; who asks for few or many means a quick or a careful picture. */
export function qualityOf(steps: number | undefined): Quality | undefined {
  if (steps === undefined) return undefined;
  if (steps <= FEW_STEPS) return 'low';
  return steps <= MANY_STEPS ? 'medium' : 'high';
}

/** A request for an image from words alone: JSON. */
export function generationRequest(work: Work, options: RequestOptions, previews: number): PreparedRequest {
  const { moderation } = options;
  const body = JSON.stringify({ ...parametersOf(work, options, previews), moderation });
  return { path: '/images/generations', contentType: 'application/json', body: Buffer.from(body) };
}

/** A request that starts from an image: a form with files. */
export async function editRequest(
  work: Work,
  options: RequestOptions,
  previews: number,
  { image, mask }: EditImages,
): Promise<PreparedRequest> {
  const form = new FormData();
  for (const [name, value] of Object.entries(parametersOf(work, options, previews))) form.append(name, String(value));
  form.append('image', fileOf(image), 'image');
  if (mask !== undefined) form.append('mask', fileOf(mask), 'mask');
  // Only to have it written out: a body of known length, whose boundary the header repeats.
  const written = new Response(form);
  const contentType = written.headers.get('content-type') ?? 'multipart/form-data';
  return { path: '/images/edits', contentType, body: new Uint8Array(await written.arrayBuffer()) };
}

function fileOf({ bytes, type }: ImageFile): Blob {
  return new Blob([new Uint8Array(bytes)], { type });
}
