import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';

/**
 * What every answer tells browsers, for their users' safety. Helmet knows it, and its headers are the same for every
 * request: so it is asked once. `shared`: whether pages of other origins may show what the server answers.
 */
export function securityHeaders({ shared }: { shared: boolean }): Record<string, string> {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const apply = helmet({
    // Pages bring their own policy, and the server itself speaks plain HTTP.
    contentSecurityPolicy: false,
    strictTransportSecurity: false,
    crossOriginResourcePolicy: { policy: shared ? 'cross-origin' : 'same-origin' },
  });
  apply(response.req, response, throwIfGiven);
  return Object.fromEntries(Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]));
}

function throwIfGiven(error?: unknown): void {
  if (error !== undefined) throw error;
}
