import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import type { z } from 'zod';
import type { ErrorCode } from '../../src/errors.ts';
import { ERRORS } from '../../src/errors.ts';
import { problem } from '../../src/transports/http/problem.ts';

/** An answer with its body as text, whatever its type. */
export interface TextAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Sends what `fetch` allows to send and reads the answer as text. */
export async function send(url: string, init: RequestInit = {}): Promise<TextAnswer> {
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** A TCP connection to a server, destroyed after the test. */
export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  onTestFinished(() => void socket.destroy());
  // A server may cut the connection off; what it said before is what counts.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes as they are, closes its half, and resolves with everything that comes back. */
export async function sendRaw(url: string, bytes: string | Uint8Array): Promise<string> {
  const socket = await openSocket(url);
  let received = '';
  socket.on('data', (chunk) => {
    received += String(chunk);
  });
  socket.end(bytes);
  await once(socket, 'close');
  return received;
}

/** The head of a request that asks for a WebSocket, with more headers if wanted. */
export function upgradeRequest(url: string, path = '/v1/events', headers: Record<string, string> = {}): string {
  const all = {
    Host: new URL(url).host,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `${[`GET ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
}

/** The problem in a raw answer. */
export function rawProblem(answer: string): z.infer<typeof problem> {
  return problem.parse(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)));
}

/** Checks everything that each error answer must have, and returns the problem. */
export function expectProblem(
  { status, headers, text }: TextAnswer,
  expected: { status: number; code: ErrorCode },
  what = '',
): z.infer<typeof problem> {
  expect({ status, body: text }, what).toMatchObject({ status: expected.status });
  expect(headers.get('content-type'), what).toBe('application/problem+json');
  expect(headers.get('x-request-id'), what).toMatch(/^[0-9a-f-]{36}/);
  const parsed = problem.parse(JSON.parse(text));
  expect(parsed, what).toMatchObject({
    type: `urn:image-server:problem:${expected.code}`,
    title: ERRORS[expected.code].title,
    status: expected.status,
    code: expected.code,
    retryable: ERRORS[expected.code].retryable,
  });
  expect(parsed.detail, what).not.toBe('');
  expect(parsed.request_id, what).not.toBe('');
  expectNoLeak(text, what);
  return parsed;
}

/** Checks that a text tells nothing of files, folders and code. */
export function expectNoLeak(text: string, what = ''): void {
  expect(text, what).not.toMatch(/\/(tmp|work|home|root|usr|src)\/|node_modules|\.ts:|\.js:|\bat \w+ \(|SQLITE|ENOENT/);
}
