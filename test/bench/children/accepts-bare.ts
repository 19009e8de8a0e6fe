import { randomUUID } from 'node:crypto';
import fastify from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { renderResource } from '../../../src/messages/render.ts';
import { strictRenderRequest, withoutNulls } from '../../../src/messages/render-request.ts';
import { runChild } from '../child.ts';
import { createInserts, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const inserts = createInserts(dir);
const app = fastify().withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.post(
  '/v1/renders',
  { schema: { body: strictRenderRequest, response: { 202: renderResource } } },
  async (request, reply) => {
    const id = randomUUID();
    const { reference_image: _r, depth_map: _d, mask: _m, request_id: _i, ...accepted } = withoutNulls(request.body);
    const render = {
      id,
      request_id: id,
      status: 'queued' as const,
      request: accepted,
      generator: 'mock',
      ignored: [],
      attempts: [],
      images: [],
      cached: false,
      created_at: new Date().toISOString(),
      metadata: {},
    };
    await inserts.insert(JSON.stringify(render));
    return reply.code(202).send(render);
  },
);
runChild({
  url: await app.listen({ port: 0, host: '127.0.0.1' }),
  async stop() {
    await app.close();
    inserts.close();
    await remove();
  },
});
