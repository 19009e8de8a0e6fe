import { z } from 'zod';
import { healthReport } from '../messages/health.ts';
import type { Health } from '../observe/health.ts';
import type { Metrics } from '../observe/metrics.ts';
import { problems } from './http/openapi.ts';
import type { HttpServer } from './http/server.ts';

const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) }).meta({ id: 'Readiness' });

/** Adds the routes for those who run the server. */
export function addOperationsRoutes(app: HttpServer, { health, metrics }: { health: Health; metrics: Metrics }): void {
  app.get(
    '/health/live',
    {
      schema: {
        tags: ['operations'],
        summary: 'Whether the process answers',
        response: { 200: z.object({ live: z.literal(true) }) },
      },
    },
    async () => ({ live: true as const }),
  );

  app.get(
    '/health/ready',
    {
      schema: {
        tags: ['operations'],
        summary: 'Whether renders can be taken; a model may still be loading',
        response: { 200: readiness, 503: readiness, ...problems() },
      },
    },
    async (_request, reply) => {
      const reasons = [...(await health.readiness())];
      const ready = reasons.length === 0;
      return reply.code(ready ? 200 : 503).send({ ready, reasons });
    },
  );

  app.get(
    '/health',
    {
      schema: {
        tags: ['operations'],
        summary: 'Every part with its status, and why',
        response: { 200: healthReport, 503: healthReport, ...problems() },
      },
    },
    async (_request, reply) => {
      const [report, reasons] = await Promise.all([health.report(), health.readiness()]);
      return reply.code(reasons.length === 0 ? 200 : 503).send(report);
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        tags: ['operations'],
        summary: 'Prometheus metrics',
        response: {
          200: { description: 'Text exposition', content: { 'text/plain': { schema: z.string() } } },
          ...problems(),
        },
      },
    },
    async (_request, reply) => {
      const { contentType, text } = await metrics.scrape();
      return reply.header('content-type', contentType).serializer(String).send(text);
    },
  );
}
