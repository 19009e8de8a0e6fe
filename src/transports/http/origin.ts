import type { FastifyRequest } from 'fastify';
import { AppError } from '../../errors.ts';

/**
 * Refuses what a foreign web page sends: a page in a visitor's browser can reach loopback as well. Programs send no
 * `Origin`. Throws `forbidden_origin`.
 */
export function createOriginCheck(allowed: readonly string[]) {
  const origins = new Set(allowed.map((url) => new URL(url).origin));
  return async ({ headers, method, ws }: FastifyRequest): Promise<void> => {
    const { origin, host } = headers;
    if (origin === undefined || (['GET', 'HEAD'].includes(method) && !ws)) return;
    if (origins.has(origin) || origin === `http://${host}` || origin === `https://${host}`) return;
    throw new AppError('forbidden_origin', 'Pages of this origin may not use the server; see [http] allowed_origins.');
  };
}
