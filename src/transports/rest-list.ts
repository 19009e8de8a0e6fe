import { z } from 'zod';
import { renderStatus } from '../messages/outputs.ts';
import { renderResource } from '../messages/render.ts';
import { invalidRequest } from '../messages/render-request.ts';
import type { RenderService } from '../render/service.ts';
import { problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';

/** Most renders of a page, and how many there are when the caller does not say. */
const MAX_LIMIT = 200;
const DEFAULT_LIMIT = 50;
const LIMIT = `must be a whole number from 1 to ${MAX_LIMIT}`;

const filters = z.strictObject({
  status: renderStatus.optional(),
  generator: z.string().optional(),
  era: z.string().optional(),
  biome: z.string().optional(),
  batch_id: z.string().optional(),
  q: z.string().min(1).max(1000).optional().describe('Words of the prompt; the last one may be begun only'),
  limit: z.coerce
    .number({ error: LIMIT })
    .int({ error: LIMIT })
    .min(1, { error: LIMIT })
    .max(MAX_LIMIT, { error: LIMIT })
    .default(DEFAULT_LIMIT),
  cursor: z.string().optional().describe('`next_cursor` of the page before'),
});

/** Adds the list of renders. */
export function addListRoutes(app: HttpServer, { renders }: { renders: RenderService }): void {
  app.get(
    '/v1/renders',
    {
      schema: {
        tags: ['renders'],
        summary: 'Renders, newest first',
        description: 'A page may be shorter than its limit; only a page without next_cursor is the last.',
        querystring: filters,
        response: {
          200: z.object({ renders: z.array(renderResource), next_cursor: z.string().optional() }),
          ...problems(422, 503, 507),
        },
      },
    },
    async ({ query }) => {
      const { limit, cursor, batch_id: batchId, q: text, ...plain } = query;
      const before = cursor === undefined ? undefined : placeOf(cursor);
      const page = await renders.list({ ...plain, batchId, text }, limit, before);
      return {
        renders: [...page.renders],
        ...(page.next === undefined ? {} : { next_cursor: cursorOf(page.next) }),
      };
    },
  );
}

/** A place in the order of acceptance, as callers hand it back unread. */
function cursorOf(place: number): string {
  return Buffer.from(`r${place}`).toString('base64url');
}

function placeOf(cursor: string): number {
  const place = /^r(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1];
  if (place === undefined) throw invalidRequest([{ path: 'cursor', message: 'must be a next_cursor of this list' }]);
  return Number(place);
}
