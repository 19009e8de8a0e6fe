import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { cancelOutcome, renderResource } from '../messages/render.ts';
import { strictRenderRequest, withoutNulls } from '../messages/render-request.ts';
import type { Caller } from '../render/records.ts';
import type { RenderService } from '../render/service.ts';
import { goneSignal } from './http/gone.ts';
import { problems } from './http/openapi.ts';
import { MAX_WAIT_S, preferredWaitMs } from './http/prefer.ts';
import type { HttpServer } from './http/server.ts';

/** Who asks over REST, as long as there are no keys. */
const ANONYMOUS: Caller = { owner: 'anonymous', door: 'rest' };

const MIB = 1024 * 1024;
/** Most requests of one batch. */
const MAX_BATCH = 100;

const renderId = z.object({ id: z.string().describe("The server's id, or the caller's request_id") });
const preferHeader = z.object({
  prefer: z
    .string()
    .optional()
    .describe(`wait=N answers when the render is over, or after N seconds (at most ${MAX_WAIT_S})`),
});
const KEY = 'must be 1 to 255 printable ASCII characters';
const keyHeader = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x20-\x7e]{1,255}$/, { error: KEY })
    .optional()
    .describe('Names this call: sent again within 24 hours, it is answered with what it made the first time'),
});

function pathOf({ id }: { readonly id: string }): string {
  return `/v1/renders/${id}`;
}

/** Adds the routes that ask for renders, follow and end them. */
export function addRenderRoutes(app: HttpServer, of: { renders: RenderService; config: Config['http'] }): void {
  const { renders, config } = of;
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
        headers: preferHeader.extend(keyHeader.shape),
        body: strictRenderRequest,
        response: {
          200: renderResource.describe('The finished render, or the one that has this request_id already'),
          202: renderResource.describe('The render, accepted; Location says where it is'),
          ...problems(400, 403, 409, 413, 415, 422, 429, 503, 507),
        },
      },
    },
    async (request, reply) => {
      const submission = { caller: ANONYMOUS, request: withoutNulls(request.body), mode: 'strict' } as const;
      const key = request.headers['idempotency-key'];
      const waitMs = preferredWaitMs(request.headers.prefer);
      if (waitMs === undefined) {
        const { kind, render } = await renders.submit(submission, key);
        return reply
          .code(kind === 'known' ? 200 : 202)
          .header('location', pathOf(render))
          .send(render);
      }
      const signal = AbortSignal.any([goneSignal(reply), stopping.signal]);
      const { render } = await renders.submitAndWait(submission, key, { ms: waitMs, signal });
      return reply
        .code(render.finished_at === undefined ? 202 : 200)
        .headers({ location: pathOf(render), 'preference-applied': `wait=${waitMs / 1000}` })
        .send(render);
    },
  );

  app.post(
    '/v1/renders/batch',
    {
      bodyLimit: Math.floor(config.max_image_body_mb * MIB),
      schema: {
        tags: ['renders'],
        summary: 'Ask for several renders: all are accepted, or none',
        headers: keyHeader,
        body: z
          .strictObject({ requests: z.array(strictRenderRequest).min(1).max(MAX_BATCH) })
          .meta({ id: 'RenderBatch' }),
        response: {
          202: z.object({
            batch_id: z.string().describe('Lists its renders: GET /v1/renders?batch_id='),
            renders: z.array(renderResource),
          }),
          ...problems(400, 403, 409, 413, 415, 422, 429, 503, 507),
        },
      },
    },
    async ({ body, headers }, reply) => {
      const submissions = body.requests.map((request) => ({
        caller: ANONYMOUS,
        request: withoutNulls(request),
        mode: 'strict' as const,
      }));
      const { batchId, submitted } = await renders.submitBatch(submissions, headers['idempotency-key']);
      return reply.code(202).send({ batch_id: batchId, renders: submitted.map(({ render }) => render) });
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
        AbortSignal.any([goneSignal(reply), stopping.signal]),
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
}
