import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { ConfigChanges, TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import { expectNoLeak, openSocket, rawProblem, upgradeRequest } from './raw-http.ts';

const FOREIGN = [
  'evil.example',
  'evil.example:8080',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.1@evil.example',
  'evil.example, 127.0.0.1',
  '[evil.example]',
  '[127.0.0.1]',
  '::1',
  '1.2.3',
  '',
  ':8080',
];
const PATHS = [
  '/v1/generators',
  '/v1/renders/x',
  '/health',
  '/health/ready',
  '/metrics',
  '/docs',
  '/openapi.json',
  '/x',
];

/** Sends a head as it is; the answer, once the server has closed the connection. */
async function sendHead(app: TestApp, head: string): Promise<string> {
  const socket = await openSocket(app.url);
  let received = '';
  socket.on('data', (chunk) => {
    received += String(chunk);
  });
  // Our half stays open: else the server would take us for gone before a journal has been asked.
  socket.write(`${head}Connection: close\r\n\r\n`);
  await once(socket, 'close');
  return received;
}

async function ask(app: TestApp, host: string, path = '/v1/generators', method = 'GET'): Promise<string> {
  return await sendHead(app, `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`);
}

function expectForbidden(answer: string, what: string): void {
  expect(answer.split('\r\n', 1), what).toEqual(['HTTP/1.1 421 Misdirected Request']);
  const { code, detail } = rawProblem(answer);
  expect(code, what).toBe('forbidden_host');
  expect(detail, what).toContain('[http] allowed_hosts');
  expectNoLeak(answer, what);
}

async function expectServed(http: ConfigChanges['http'], hosts: readonly string[]): Promise<void> {
  const app = await startApp({ config: { http: { ...http } } });
  for (const host of hosts) expect(await ask(app, host), host).toMatch(/^HTTP\/1\.1 200 /);
}

describe('the host that a request is for', () => {
  it('may be any address, and localhost, with or without port', async () => {
    const addresses = ['127.0.0.1', '127.0.0.1:8080', '192.168.7.8:80', '[::1]', '[::1]:8080', '[fe80::1]:1'];
    await expectServed({}, [...addresses, 'localhost', 'localhost:3000', 'LOCALHOST', 'localhost.']);
  });

  it('may be one that the configuration names', async () => {
    await expectServed(
      { allowed_hosts: ['Display.local', 'image-server'], public_url: 'https://images.example.org:8443/base' },
      ['display.local', 'DISPLAY.LOCAL:8080', 'image-server:8080', 'images.example.org', 'images.example.org:8443'],
    );
  });

  it('may be the name that the server listens on', async () => {
    await expectServed({ host: 'LOCALHOST' }, ['localhost', '127.0.0.1']);
  });

  it('must not be another, whatever is asked', async () => {
    const app = await startApp({ config: { http: { allowed_hosts: ['display.local'] } } });
    for (const host of [...FOREIGN, 'my.display.local', 'display.local.evil.example'])
      expectForbidden(await ask(app, host), host);
    for (const path of PATHS) expectForbidden(await ask(app, 'evil.example', path), path);
    for (const method of ['POST', 'DELETE', 'OPTIONS'])
      expectForbidden(await ask(app, 'evil.example', '/v1/renders', method), method);
    expect(app.lines.filter(({ msg }) => msg === 'render queued')).toEqual([]);
  });

  it('must not be another for the event stream either, not even from a page of that host', async () => {
    const app = await startApp();
    const socket = await openSocket(app.url);
    const answer = await new Promise<string>((resolve) => {
      socket.once('data', (data) => resolve(String(data)));
      const headers = { Host: 'evil.example:80', Origin: 'http://evil.example:80' };
      socket.write(upgradeRequest(app.url, '/v1/events', headers));
    });
    expectForbidden(answer, 'upgrade');
  });

  it('is not asked where the server only says that it lives', async () => {
    const app = await startApp();
    for (const host of FOREIGN) expect(await ask(app, host, '/health/live'), host).toMatch(/^HTTP\/1\.1 200 /);
    expectForbidden(await ask(app, 'evil.example', '/health/live/x'), 'below');
  });

  it('may be missing in HTTP/1.0 only', async () => {
    const app = await startApp();
    expect(await sendHead(app, 'GET /v1/generators HTTP/1.0\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    const answer = await sendHead(app, 'GET /v1/generators HTTP/1.1\r\n');
    expect(rawProblem(answer)).toMatchObject({ status: 400, code: 'bad_request' });
  });
});
