import cors from '@fastify/cors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../../errors.ts';

/** The origins of the pages at these URLs. */
export function originsOf(urls: readonly string[]): ReadonlySet<string> {
  return new Set(urls.map((url) => new URL(url).origin));
}

/**
 * Refuses what a foreign web page sends: a page in a visitor's browser can reach loopback as well. Programs send no
 * `Origin`. The `Host` must have been checked before. Throws `forbidden_origin`.
 */
export function createOriginCheck(allowed: ReadonlySet<string>) {
  return ({ headers, method, ws }: FastifyRequest): void => {
    const { origin, host } = headers;
    if (origin === undefined || (['GET', 'HEAD'].includes(method) && !ws)) return;
    if (allowed.has(origin) || origin === `http://${host}` || origin === `https://${host}`) return;
    throw new AppError('forbidden_origin', 'Pages of this origin may not use the server; see [http] allowed_origins.');
  };
}

/** Lets pages of these origins read answers as well (CORS), and answers what their browsers ask before a request. */
export async function answerOrigins(app: FastifyInstance, allowed: ReadonlySet<string>): Promise<void> {
  await app.register(cors, {
    origin: async (origin: string | undefined) => origin !== undefined && allowed.has(origin),
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['content-type', 'prefer', 'idempotency-key', 'authorization'],
    exposedHeaders: ['location', 'retry-after', 'etag', 'x-request-id'],
    // Its refusal is plain text; what is no such question gets our 405 instead.
    strictPreflight: false,
  });
}
