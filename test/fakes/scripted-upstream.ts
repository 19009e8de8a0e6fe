import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as a fake upstream received it, whole. */
export interface ReceivedRequest<R extends string> {
  readonly route: R;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One way to answer. It may as well never do so. */
export type Behaviour = (response: ServerResponse, request: ReceivedRequest<string>) => void;

/** A fake upstream: its normal behaviour, and what a test puts in its place for the next requests. */
export interface ScriptedUpstream<R extends string> {
  /** As in `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly requests: readonly ReceivedRequest<R>[];
  count(route: R): number;
  /** How the next requests to a route are answered, one each; afterwards it answers normally again. */
  plan(route: R, ...behaviours: Behaviour[]): void;
  /** How all requests to a route are answered, after those that are planned; without a behaviour, normally. */
  always(route: R, behaviour?: Behaviour): void;
  /** Resolves when a route has got this many requests since the start. */
  received(route: R, count: number): Promise<void>;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Starts a server on a free port. `route` names what a request asks for and says how that is normally answered. */
export async function startScriptedUpstream<R extends string>(
  route: (method: string, url: URL, body: Buffer) => { readonly name: R; readonly answer: Behaviour },
): Promise<ScriptedUpstream<R>> {
  const requests: ReceivedRequest<R>[] = [];
  const planned: { route: R; behaviour: Behaviour }[] = [];
  const standing = new Map<R, Behaviour>();
  const watchers = new Set<() => void>();
  const count = (name: R) => requests.filter((one) => one.route === name).length;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const { method = '', url: path = '/', headers } = request;
    const body = Buffer.concat(parts);
    const { name, answer } = route(method, new URL(path, 'http://fake'), body);
    const received = { route: name, method, path, headers, body };
    requests.push(received);
    for (const watch of watchers) watch();
    const at = planned.findIndex((one) => one.route === name);
    const [next] = at === -1 ? [] : planned.splice(at, 1);
    (next?.behaviour ?? standing.get(name) ?? answer)(response, received);
  }

  const server: Server = createServer((request, response) => {
    // A caller that breaks its request off is none.
    serve(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    count,
    plan(name, ...behaviours) {
      planned.push(...behaviours.map((behaviour) => ({ route: name, behaviour })));
    },
    always(name, behaviour) {
      if (behaviour === undefined) standing.delete(name);
      else standing.set(name, behaviour);
    },
    received: (name, wanted) =>
      new Promise((resolve) => {
        const watch = () => {
          if (count(name) < wanted) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
      }),
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Answers with JSON. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Behaviour {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

/** Answers with a file. */
export function file(bytes: Uint8Array, type = 'image/png', status = 200): Behaviour {
  return (response) => {
    response.writeHead(status, { 'content-type': type, 'content-length': bytes.length }).end(bytes);
  };
}

/** Answers with a status and a text that must never be repeated. */
export function failing(status: number, headers: Record<string, string> = {}): Behaviour {
  return json({ detail: 'UPSTREAM-TEXT that no caller may see' }, status, headers);
}

/** Too many requests, with or without saying when to come back (seconds or a date). */
export function rateLimited(retryAfter?: string): Behaviour {
  return failing(429, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
}

/** A page where data should be, as proxies and login walls send it. */
export function html(status = 200): Behaviour {
  return file(Buffer.from('<!doctype html><title>Bad day</title><p>UPSTREAM-TEXT</p>'), 'text/html', status);
}

/** Takes the request and never answers. */
export function hang(): Behaviour {
  return () => {};
}

/** Takes the request and breaks the connection off. */
export function reset(): Behaviour {
  return (response) => {
    response.destroy();
  };
}

/** Answers a byte at a time, for ever. */
export function drip(everyMs = 20): Behaviour {
  return (response) => {
    response.writeHead(200, { 'content-type': 'image/png' });
    const timer = setInterval(() => response.write('.'), everyMs);
    response.on('close', () => clearInterval(timer));
  };
}

/** Announces all bytes, sends half of them and breaks off. */
export function truncated(bytes: Uint8Array, type = 'image/png'): Behaviour {
  return (response) => {
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  };
}

/** Announces nothing, sends half of the bytes and closes as if that were all. */
export function cutShort(bytes: Uint8Array, type = 'image/png'): Behaviour {
  return (response) => {
    response.shouldKeepAlive = false;
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, { 'content-type': type, connection: 'close' });
    response.end(bytes.subarray(0, bytes.length / 2));
  };
}

/** Sends zeros behind `start` without announcing how many, until `bytes` are sent or nobody reads. */
export function flood(bytes: number, type = 'image/png', start: Uint8Array = Buffer.of()): Behaviour {
  return (response) => {
    response.writeHead(200, { 'content-type': type });
    response.write(start);
    const part = Buffer.alloc(65_536);
    let left = bytes;
    const send = (): void => {
      while (left > 0 && !response.destroyed) {
        left -= part.length;
        if (!response.write(part)) {
          response.once('drain', send);
          return;
        }
      }
      if (left <= 0) response.end();
    };
    send();
  };
}

/** Sends the caller elsewhere. */
export function redirect(location: string, status = 302): Behaviour {
  return (response) => {
    response.writeHead(status, { location }).end();
  };
}

/** Waits, then answers. */
export function later(ms: number, then: Behaviour): Behaviour {
  return (response, request) => {
    const timer = setTimeout(() => then(response, request), ms);
    response.on('close', () => clearTimeout(timer));
  };
}
