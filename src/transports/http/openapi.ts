import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { eventBodies, hello, renderProgress } from '../../messages/events.ts';
import { PROBLEM_TYPE, problem } from './problem.ts';

/** Adds `/openapi.json` and a page to try it at `/docs`. Routes added afterwards are in it. */
export async function addDocumentation(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'Experimance image server',
        version,
        description: 'Renders images from prompts and depth maps; every accepted request reaches exactly one end.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'renders', description: 'Ask for images and follow what becomes of it' },
        { name: 'images', description: 'Finished images, by the SHA-256 of their bytes' },
        { name: 'generators', description: 'What makes the images' },
        { name: 'events', description: 'Everything that happens, as it happens' },
        { name: 'operations', description: 'For those who run the server' },
      ],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => withPlainNames(jsonSchemaTransformObject(document)),
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}

/** Responses of every route that can fail: the problem's code says how. 421 is always among them: see `host.ts`. */
export function problems(...statuses: number[]) {
  const schema = { description: 'Problem', content: { [PROBLEM_TYPE]: { schema: problem } } };
  return Object.fromEntries([...statuses, 421].map((status) => [status, schema]));
}

/** What travels over the event stream, for the document: every event's shape by its name. */
export const eventSchemas = z
  .union([
    hello,
    renderProgress,
    ...Object.entries(eventBodies).map(([type, body]) =>
      body.extend({ type: z.literal(type), seq: z.int(), time: z.iso.datetime() }),
    ),
  ])
  .meta({ id: 'Event', description: 'One text frame of the event stream' });

interface Document {
  components?: { schemas?: Record<string, unknown> };
}

const PREFIX = '#/components/schemas/';

/**
 * The type provider writes each named schema twice, `X` for answers and `XInput` for requests. What nothing refers to
 * is left out, and a lone `XInput` is called `X`.
 */
function withPlainNames<D extends object>(document: D): D {
  const { components }: Document = document;
  const schemas = components?.schemas;
  if (schemas === undefined) return document;
  const isUsed = (name: string) => JSON.stringify(document).includes(`"${PREFIX}${name}"`);
  for (;;) {
    const unused = Object.keys(schemas).filter((name) => !isUsed(name));
    if (unused.length === 0) break;
    for (const name of unused) delete schemas[name];
  }
  const lone = Object.keys(schemas).filter((name) => name.endsWith('Input') && !(name.slice(0, -5) in schemas));
  const text = lone.reduce(
    (json, name) =>
      json
        .replaceAll(`"${PREFIX}${name}"`, `"${PREFIX}${name.slice(0, -5)}"`)
        .replaceAll(`"${name}":`, `"${name.slice(0, -5)}":`),
    JSON.stringify(document),
  );
  return JSON.parse(text);
}
