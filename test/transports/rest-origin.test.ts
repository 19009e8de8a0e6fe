import { describe, expect, it } from 'vitest';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import type { TextAnswer } from './raw-http.ts';
import { expectProblem, openSocket, rawProblem, send, upgradeRequest } from './raw-http.ts';

const FOREIGN = ['https://evil.example', 'null', 'http://127.0.0.1', 'http://127.0.0.1.evil.example:80', 'file://', ''];

async function post(app: TestApp, origin: string | undefined): Promise<TextAnswer> {
  return await send(`${app.url}/v1/renders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(origin === undefined ? {} : { origin }) },
    body: JSON.stringify({ prompt: 'a', width: 64, height: 64 }),
  });
}

/** The head of the answer to a request for a WebSocket. */
async function upgrade(app: TestApp, origin: string | undefined): Promise<string> {
  const socket = await openSocket(app.url);
  const headers = origin === undefined ? {} : { Origin: origin };
  return await new Promise((resolve) => {
    let received = '';
    socket.on('data', (chunk) => {
      received += String(chunk);
      // An answer without upgrade has its whole body in the same breath.
      if (received.includes('\r\n\r\n')) resolve(received);
    });
    socket.write(upgradeRequest(app.url, '/v1/events', headers));
  });
}

describe('the origin of a web page', () => {
  it('must not be foreign to ask for renders', async () => {
    const app = await startApp();
    for (const origin of FOREIGN) {
      const { detail } = expectProblem(await post(app, origin), { status: 403, code: 'forbidden_origin' }, origin);
      expect(detail).toContain('allowed_origins');
    }
    expect(app.lines.filter(({ msg }) => msg === 'render queued')).toEqual([]);
  });

  it('must not be foreign to cancel, whatever the method and the address', async () => {
    const app = await startApp();
    for (const [method, path] of [
      ['POST', '/v1/renders/x/cancel'],
      ['POST', '/nowhere'],
      ['DELETE', '/v1/renders/x'],
      ['OPTIONS', '/v1/renders'],
    ] as const) {
      const answer = await send(`${app.url}${path}`, { method, headers: { origin: 'https://evil.example' } });
      expectProblem(answer, { status: 403, code: 'forbidden_origin' }, path);
    }
  });

  it('must not be foreign to open the event stream, and is refused before the upgrade', async () => {
    const app = await startApp();
    for (const origin of FOREIGN) {
      const answer = await upgrade(app, origin);
      expect(answer.split('\r\n', 1), origin).toEqual(['HTTP/1.1 403 Forbidden']);
      expect(rawProblem(answer).code, origin).toBe('forbidden_origin');
    }
    expect((await app.call('GET', '/metrics')).body.toString()).toContain('subscribers{transport="websocket"} 0');
  });

  it('may be the server’s own, by either scheme, as behind a proxy', async () => {
    const app = await startApp();
    const { host } = new URL(app.url);
    for (const origin of [`http://${host}`, `https://${host}`]) {
      expect((await post(app, origin)).status, origin).toBe(202);
      expect(await upgrade(app, origin), origin).toMatch(/^HTTP\/1\.1 101 /);
    }
  });

  it('may be one that the configuration allows, whatever follows it there', async () => {
    const allowed_origins = ['https://gallery.example', 'http://display.local:3000/some/path'];
    const app = await startApp({ config: { http: { allowed_origins } } });
    for (const origin of ['https://gallery.example', 'http://display.local:3000']) {
      expect((await post(app, origin)).status, origin).toBe(202);
      expect(await upgrade(app, origin), origin).toMatch(/^HTTP\/1\.1 101 /);
    }
    for (const origin of ['http://gallery.example', 'https://gallery.example:444', 'http://display.local'])
      expectProblem(await post(app, origin), { status: 403, code: 'forbidden_origin' }, origin);
  });

  it('is not asked of programs, nor of reading', async () => {
    const app = await startApp();
    expect((await post(app, undefined)).status).toBe(202);
    expect(await upgrade(app, undefined)).toMatch(/^HTTP\/1\.1 101 /);
    const read = await send(`${app.url}/v1/generators`, { headers: { origin: 'https://evil.example' } });
    expect(read.status).toBe(200);
    expect(read.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('pages of allowed origins', () => {
  const PAGE = 'https://gallery.example';
  const start = () => startApp({ config: { http: { allowed_origins: [`${PAGE}/`, 'http://display.local:3000'] } } });

  /** What a browser asks before it sends a page's request. */
  const preflight = (app: TestApp, origin: string, path = '/v1/renders', method = 'POST') =>
    send(`${app.url}${path}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'content-type' },
    });
  const list = (header: string | null) => header?.toLowerCase().split(', ').sort();

  it('may send requests, as their browsers hear before', async () => {
    const app = await start();
    for (const [method, path] of [
      ['POST', '/v1/renders'],
      ['POST', '/v1/renders/x/cancel'],
      ['GET', '/v1/generators'],
    ] as const) {
      const { status, headers } = await preflight(app, PAGE, path, method);
      expect(status, path).toBe(204);
      expect(headers.get('access-control-allow-origin')).toBe(PAGE);
      expect(list(headers.get('access-control-allow-methods'))).toEqual(['delete', 'get', 'head', 'post']);
      expect(list(headers.get('access-control-allow-headers'))).toEqual(
        ['authorization', 'content-type', 'idempotency-key', 'prefer'].sort(),
      );
      expect(headers.get('access-control-allow-credentials')).toBeNull();
    }
  });

  it('may read answers, images and problems, with the headers that matter', async () => {
    const app = await start();
    const { body } = await app.render({ prompt: 'a', width: 64, height: 64 });
    const accepted = await post(app, PAGE);
    expect(accepted.status).toBe(202);
    const read = (path: string, init: RequestInit = {}) =>
      send(`${app.url}${path}`, { ...init, headers: { origin: PAGE } });
    const answers = [
      accepted,
      await read(`/v1/images/${body.images[0].image_id}`),
      await read('/v1/renders/none'),
      await read('/nowhere'),
      await read('/v1/renders', { method: 'DELETE' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([202, 200, 404, 404, 405]);
    for (const { headers, status } of answers) {
      expect(headers.get('access-control-allow-origin'), `${status}`).toBe(PAGE);
      expect(list(headers.get('access-control-expose-headers'))).toEqual([
        'etag',
        'location',
        'retry-after',
        'x-request-id',
      ]);
      expect(headers.get('cross-origin-resource-policy')).toBe('cross-origin');
      expect(headers.get('vary')).toMatch(/\bOrigin\b/);
    }
  });

  it('are the only ones, and caches are told that answers differ', async () => {
    const app = await start();
    for (const origin of ['https://evil.example', 'http://gallery.example', 'https://gallery.example/', 'null']) {
      expectProblem(await preflight(app, origin), { status: 403, code: 'forbidden_origin' }, origin);
      const { status, headers } = await send(`${app.url}/v1/generators`, { headers: { origin } });
      expect(status).toBe(200);
      expect(headers.get('access-control-allow-origin'), origin).toBeNull();
      expect(headers.get('vary'), origin).toMatch(/\bOrigin\b/);
    }
    const program = await send(`${app.url}/v1/generators`);
    expect(program.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('change nothing for programs: OPTIONS is answered as before', async () => {
    const app = await start();
    const sent = { method: 'OPTIONS', headers: { 'content-type': 'text/plain' }, body: '{' };
    const answer = await send(`${app.url}/v1/renders`, sent);
    expectProblem(answer, { status: 405, code: 'method_not_allowed' });
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    expectProblem(await send(`${app.url}/nowhere`, { method: 'OPTIONS' }), { status: 404, code: 'not_found' });
  });

  it('may be none: then answers are for our own pages alone', async () => {
    const app = await startApp();
    const { headers } = await send(`${app.url}/v1/generators`);
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expectProblem(await preflight(app, PAGE), { status: 403, code: 'forbidden_origin' });
  });
});
