import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { AppError } from '../errors.ts';
import { generatorResource } from '../messages/render.ts';
import type { RenderService } from '../render/service.ts';
import type { ImageStore } from '../store/image-store.ts';
import { problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';
import { addImageRoutes } from './rest-images.ts';
import { addListRoutes } from './rest-list.ts';
import { addQueueRoutes } from './rest-queue.ts';
import { addRenderRoutes } from './rest-renders.ts';

/** Options of `addRestRoutes`. */
export interface RestOptions {
  readonly renders: RenderService;
  readonly store: Pick<ImageStore, 'open'>;
  readonly config: Config['http'];
}

/** Adds the routes of renders, images, the queue and the generators. */
export function addRestRoutes(app: HttpServer, { renders, store, config }: RestOptions): void {
  addRenderRoutes(app, { renders, config });
  addListRoutes(app, { renders });
  addImageRoutes(app, { renders, store });
  addQueueRoutes(app, { renders });

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
