import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../../config/schema.ts';
import { AppError } from '../../errors.ts';

/** The one route that answers to any name: it says nothing, and probes call by whatever name they have. */
const OPEN_ROUTE = '/health/live';

/**
 * Refuses requests for a host name that is not ours. A web page can let its own name point at this machine; its browser
 * then takes the server for part of the page, and only `Host` shows the trick. Addresses cannot be borrowed so.
 * Throws `forbidden_host`, or `bad_request` where HTTP/1.1 demands a `Host` and there is none.
 */
export function createHostCheck({ host, public_url, allowed_hosts }: Config['http']) {
  const ours = [
    'localhost',
    host,
    ...allowed_hosts,
    ...(public_url === undefined ? [] : [new URL(public_url).hostname]),
  ];
  const names = new Set(ours.map(plainName));
  return ({ raw, routeOptions }: FastifyRequest): void => {
    const asked = raw.headers.host;
    if (asked === undefined) {
      if (raw.httpVersion === '1.1') throw new AppError('bad_request', 'The request has no Host header.');
      return;
    }
    if (routeOptions.url === OPEN_ROUTE || isOurs(asked, names)) return;
    throw new AppError(
      'forbidden_host',
      'The server does not answer to this host name; add it to [http] allowed_hosts if it is the server’s.',
    );
  };
}

function isOurs(asked: string, names: ReadonlySet<string>): boolean {
  const parts = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]]+))(?::\d*)?$/.exec(asked)?.groups;
  if (parts?.v6 !== undefined) return isIP(parts.v6) === 6;
  return parts?.name !== undefined && (isIP(parts.name) === 4 || names.has(plainName(parts.name)));
}

/** DNS knows no capitals, and a dot at the end changes nothing. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
