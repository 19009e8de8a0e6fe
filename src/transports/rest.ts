import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { AppError, asAppError } from '../errors.ts';
import type { ImageFormat } from '../messages/fields.ts';
import { imageId } from '../messages/outputs.ts';
import { cancelOutcome, generatorResource, renderResource } from '../messages/render.ts';
import { strictRenderRequest, withoutNulls } from '../messages/render-request.ts';
import type { Caller } from '../render/journal.ts';
import type { RenderService } from '../render/service.ts';
import type { ImageStore } from '../store/image-store.ts';
import { problems } from './http/openapi.ts';
import { MAX_WAIT_S, preferredWaitMs } from './http/prefer.ts';
import type { HttpServer } from './http/server.ts';

/** Who asks over REST, as long as there are no keys. */
const ANONYMOUS: Caller = { owner: 'anonymous', door: 'rest' };

const MIB = 1024 * 1024;
const MEDIA_TYPES = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  avif: 'image/avif',
} as const satisfies Record<ImageFormat, string>;
const renderId = z.object({ id: z.string().describe("The server's id, or the caller's request_id") });
const preferHeader = z.object({
  prefer: z
    .string()
    .optional()
    .describe(`wait=N answers when the render is over, or after N seconds (at most ${MAX_WAIT_S})`),
});

/** Options of `addRestRoutes`. */
export interface RestOptions {
  readonly renders: RenderService;
  readonly store: Pick<ImageStore, 'open'>;
  readonly config: Config['http'];
}

/** Adds the routes of renders, images and generators. */
export function addRestRoutes(app: HttpServer, { renders, store, config }: RestOptions): void {
  // Who still waits when the server stops hears how the render is: it goes on after the next start.
  const stopping = new AbortController();
  app.addHook('preClose', async () => stopping.abort());

  app.post(
    '/v1/renders',
    {
      bodyLimit: Math.floor(config.max_image_body_mb * MIB),
      schema: {
        tags: ['renders'],
        summary: 'Ask for a render',
        description: 'Accepted renders are durable: each reaches exactly one end, across crashes and power cuts.',
        headers: preferHeader,
        body: strictRenderRequest,
        response: {
          200: renderResource.describe('The finished render, or the one that has this request_id already'),
          202: renderResource.describe('The render, accepted; Location says where it is'),
          ...problems(400, 403, 409, 413, 415, 422, 429, 503, 507),
        },
      },
    },
    async (request, reply) => {
      const { kind, render } = await renders.submit({
        caller: ANONYMOUS,
        request: withoutNulls(request.body),
        mode: 'strict',
      });
      void reply.header('location', `/v1/renders/${render.id}`);
      const waitMs = preferredWaitMs(request.headers.prefer);
      if (waitMs === undefined) return reply.code(kind === 'known' ? 200 : 202).send(render);

      void reply.header('preference-applied', `wait=${waitMs / 1000}`);
      const later = await renders.wait(
        render.id,
        ANONYMOUS.owner,
        waitMs,
        AbortSignal.any([request.signal, stopping.signal]),
      );
      return reply.code(later.finished_at === undefined ? 202 : 200).send(later);
    },
  );

  app.get(
    '/v1/renders/:id',
    {
      schema: {
        tags: ['renders'],
        summary: 'A render, as it is or once it is over',
        params: renderId,
        headers: preferHeader,
        response: { 200: renderResource, ...problems(404, 503, 507) },
      },
    },
    async (request, reply) => {
      const waitMs = preferredWaitMs(request.headers.prefer);
      if (waitMs === undefined) return renders.get(request.params.id, ANONYMOUS.owner);
      void reply.header('preference-applied', `wait=${waitMs / 1000}`);
      return renders.wait(
        request.params.id,
        ANONYMOUS.owner,
        waitMs,
        AbortSignal.any([request.signal, stopping.signal]),
      );
    },
  );

  app.post(
    '/v1/renders/:id/cancel',
    {
      schema: {
        tags: ['renders'],
        summary: 'End a render; says what really happened',
        params: renderId,
        response: {
          200: z.object({ outcome: cancelOutcome, render: renderResource }),
          ...problems(403, 404, 503, 507),
        },
      },
    },
    async ({ params }) => renders.cancel(params.id, ANONYMOUS.owner),
  );

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

  app.get(
    '/v1/generators',
    {
      schema: {
        tags: ['generators'],
        summary: 'The generators, what they can do and how they are',
        response: { 200: z.object({ generators: z.array(generatorResource) }), ...problems(503) },
      },
    },
    async () => ({ generators: await renders.generators() }),
  );

  app.get(
    '/v1/generators/:name',
    {
      schema: {
        tags: ['generators'],
        summary: 'One generator',
        params: z.object({ name: z.string() }),
        response: { 200: generatorResource, ...problems(404, 503) },
      },
    },
    async ({ params }) => {
      const generators = await renders.generators();
      const found = generators.find(({ name }) => name === params.name);
      if (found === undefined) throw new AppError('not_found', 'There is no generator of this name.');
      return found;
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
