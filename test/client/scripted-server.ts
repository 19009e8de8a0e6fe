import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { onTestFinished } from 'vitest';

/** A request that a scripted server got. */
export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** One answer of the script. */
export type Reply = (response: ServerResponse, asked: Asked) => void;

/** An HTTP server that answers as the test says: one reply after the other, the last one again and again. */
export async function scriptedServer(...replies: readonly Reply[]): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    asked.push(one);
    (replies[asked.length - 1] ?? replies.at(-1))?.(response, one);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`, asked };
}

/** Answers JSON. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** Answers a problem as the server does. */
export function problem(
  status: number,
  code: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Reply {
  const body = {
    type: `urn:image-server:problem:${code}`,
    title: code,
    status,
    detail: `It is ${code}.`,
    code,
    request_id: 'r',
    retryable: false,
  };
  return json(status, { ...body, ...more }, { 'content-type': 'application/problem+json', ...headers });
}

/** An address where nothing listens. */
export async function deadAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`;
}

/** A render as the server shows it. */
export function renderOf(changes: Record<string, unknown> = {}) {
  return {
    id: '019a0000-0000-7000-8000-000000000000',
    request_id: 'visitor-1',
    status: 'queued',
    request: { prompt: 'x' },
    generator: 'mock',
    ignored: [],
    attempts: [],
    images: [],
    cached: false,
    created_at: '2026-11-22T06:00:00.000Z',
    metadata: {},
    ...changes,
  };
}

/** A render that has ended. */
export function endedRender(changes: Record<string, unknown> = {}) {
  return renderOf({ status: 'succeeded', finished_at: '2026-11-22T06:00:01.000Z', ...changes });
}
