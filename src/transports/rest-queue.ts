import { z } from 'zod';
import type { RenderService } from '../render/service.ts';
import { problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';

const queueState = z.object({ paused: z.boolean() }).meta({ id: 'QueueState' });
const whatToClear = z
  .strictObject({ generator: z.string().nullish().describe('Only what waits for this generator') })
  .nullish()
  .meta({ id: 'QueueClear' });

/** Adds the operator's calls about the queue. */
export function addQueueRoutes(app: HttpServer, { renders }: { renders: RenderService }): void {
  app.post(
    '/v1/queue/clear',
    {
      schema: {
        tags: ['operations'],
        summary: 'Cancel everything that waits; what runs goes on',
        description: 'Each render gets its own end, as if it had been cancelled alone.',
        body: whatToClear,
        response: {
          200: z.object({ cancelled: z.int().describe('How many renders this has ended') }),
          ...problems(400, 403, 415, 422, 503, 507),
        },
      },
    },
    async ({ body }) => renders.clearQueue(body?.generator ?? undefined),
  );

  app.post(
    '/v1/queue/pause',
    {
      schema: {
        tags: ['operations'],
        summary: 'Let nothing begin, until resume; what runs goes on',
        description: 'Renders are accepted and wait. The pause is kept across restarts.',
        response: { 200: queueState, ...problems(403, 503, 507) },
      },
    },
    async () => {
      await renders.pause();
      return { paused: true };
    },
  );

  app.post(
    '/v1/queue/resume',
    {
      schema: {
        tags: ['operations'],
        summary: 'Let the queue go on',
        response: { 200: queueState, ...problems(403, 503, 507) },
      },
    },
    async () => {
      await renders.resume();
      return { paused: false };
    },
  );
}
