import { z } from 'zod';
import { AppError, asAppError } from '../errors.ts';
import type { ImageFormat } from '../messages/fields.ts';
import { imageId } from '../messages/outputs.ts';
import type { RenderService } from '../render/service.ts';
import type { ImageStore } from '../store/image-store.ts';
import { problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';

const MEDIA_TYPES = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  avif: 'image/avif',
} as const satisfies Record<ImageFormat, string>;

/** Adds the route of finished images. */
export function addImageRoutes(app: HttpServer, of: { renders: RenderService; store: Pick<ImageStore, 'open'> }): void {
  const { renders, store } = of;
  app.get(
    '/v1/images/:image_id',
    {
      schema: {
        tags: ['images'],
        summary: 'The bytes of an image',
        params: z.object({ image_id: imageId }),
        response: {
          200: {
            description: 'The image; it never changes',
            content: Object.fromEntries(
              Object.values(MEDIA_TYPES).map((type) => [
                type,
                { schema: z.any().meta({ type: 'string', format: 'binary' }) },
              ]),
            ),
          },
          304: z.undefined().describe('The caller has it already'),
          ...problems(404, 410, 422),
        },
      },
    },
    async (request, reply) => {
      const { imageId, format } = await renders.image(request.params.image_id);
      const tag = `"${imageId}"`;
      const held = holds(request.headers['if-none-match'], tag);
      // Opened first, so that a file which is gone is not answered with a tag that caches keep for a year.
      const file = held ? undefined : await store.open(imageId, format).catch(asEvicted);
      void reply.header('etag', tag).header('cache-control', 'public, max-age=31536000, immutable');
      if (file === undefined) return reply.code(304).send();

      void reply.header('content-type', MEDIA_TYPES[format]).header('content-length', file.size);
      // Images are data: a browser must not run what a file might hide.
      void reply.header('content-security-policy', "default-src 'none'; sandbox");
      return reply.send(file.stream);
    },
  );
}

/** The journal knows the image, so it was here: somebody has deleted the file. */
function asEvicted(error: unknown): never {
  if (asAppError(error).code !== 'image_not_found') throw error;
  throw new AppError('image_evicted', 'The image was here, but its file is gone.', { cause: error });
}

/** Whether an `If-None-Match` names the tag, strongly or weakly. */
function holds(header: string | undefined, tag: string): boolean {
  const tags = (header ?? '').split(',').map((part) => part.trim().replace(/^W\//, ''));
  return tags.includes(tag) || tags.includes('*');
}
