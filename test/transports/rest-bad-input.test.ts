import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import type { TextAnswer } from './raw-http.ts';
import { expectNoLeak, expectProblem, openSocket, rawProblem, send, sendRaw, upgradeRequest } from './raw-http.ts';

type Body = NonNullable<RequestInit['body']>;

const JSON_TYPE = 'application/json';
const MIB = 1024 * 1024;

async function post(app: TestApp, body: Body, type: string | undefined = JSON_TYPE): Promise<TextAnswer> {
  const headers = type === undefined ? {} : { 'content-type': type };
  return await send(`${app.url}/v1/renders`, { method: 'POST', headers, body });
}

/** Whatever came before, the next request is served. */
async function expectServing(app: TestApp, what: string): Promise<void> {
  expect((await send(`${app.url}/health/live`)).status, what).toBe(200);
}

/** Checks that nothing of what was refused has become a render. */
function expectNoRender(app: TestApp): void {
  expect(app.lines.filter(({ msg }) => msg === 'render queued')).toEqual([]);
  expect(app.lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
}

interface BadValue {
  readonly body: object;
  /** Paths of all fields that must be named, in the message as well. */
  readonly fields: readonly string[];
  /** What the message says is allowed. */
  readonly allowed: RegExp;
  readonly code?: ErrorCode;
}

const prompt = 'a delta';
const TEXT = /must be text of 1 to 10000 characters/;
const INTEGER = /must be a whole number from/;
const BAD_VALUES: readonly BadValue[] = [
  { body: {}, fields: ['prompt'], allowed: /is required/ },
  { body: { prompt: null }, fields: ['prompt'], allowed: TEXT },
  { body: { prompt: '' }, fields: ['prompt'], allowed: /must not be blank/ },
  { body: { prompt: ' \n\t\u2003' }, fields: ['prompt'], allowed: /must not be blank/ },
  { body: { prompt: 'a'.repeat(10_001) }, fields: ['prompt'], allowed: TEXT },
  { body: { prompt: 7 }, fields: ['prompt'], allowed: TEXT },
  { body: { prompt: '\ud800x' }, fields: ['prompt'], allowed: /Unicode/ },
  { body: { prompt, negative_prompt: 'x\udc00' }, fields: ['negative_prompt'], allowed: /Unicode/ },
  { body: { prompt, metadata: { a: '\ud800' } }, fields: ['metadata.a'], allowed: /Unicode/ },
  { body: { prompt, metadata: { '\ud800': 'a' } }, fields: ['metadata'], allowed: /Unicode/ },
  {
    body: { prompt, generator: 'sdxxl' },
    fields: ['generator'],
    allowed: /known are mock/,
    code: 'unknown_generator',
  },
  { body: { prompt, generator: 5 }, fields: ['generator'], allowed: /must be text of 1 to 128 characters/ },
  { body: { prompt, width: 1e9, height: 63 }, fields: ['width', 'height'], allowed: /from 64 to 4096/ },
  { body: { prompt, width: '512' }, fields: ['width'], allowed: INTEGER },
  { body: { prompt, width: 512.5 }, fields: ['width'], allowed: INTEGER },
  { body: { prompt, seed: -1 }, fields: ['seed'], allowed: /from 0 to 4294967295/ },
  { body: { prompt, seed: 2 ** 32 }, fields: ['seed'], allowed: /from 0 to 4294967295/ },
  { body: { prompt, num_images: 11 }, fields: ['num_images'], allowed: /from 1 to 10/ },
  { body: { prompt, steps: 0 }, fields: ['steps'], allowed: /from 1 to 1000/ },
  { body: { prompt, strength: 1.1 }, fields: ['strength'], allowed: /number from 0 to 1/ },
  { body: { prompt, clear_queue: 'yes' }, fields: ['clear_queue'], allowed: /must be true or false/ },
  { body: { prompt, output_format: 'gif' }, fields: ['output_format'], allowed: /png.*jpeg/ },
  { body: { prompt, quality: 101 }, fields: ['quality'], allowed: /from 1 to 100/ },
  { body: { prompt, priority: 11 }, fields: ['priority'], allowed: /from -10 to 10/ },
  { body: { prompt, timeout_s: 0 }, fields: ['timeout_s'], allowed: /above 0 and at most 86400/ },
  { body: { prompt, timeout_s: 86_401 }, fields: ['timeout_s'], allowed: /above 0 and at most 86400/ },
  { body: { prompt, metadata: { a: 1, b: null } }, fields: ['metadata.a', 'metadata.b'], allowed: /must be text/ },
  {
    body: { prompt, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`key${at}`, ''])) },
    fields: ['metadata'],
    allowed: /at most 16 keys/,
  },
  { body: { prompt, era: 'jurassic', biome: 'moon' }, fields: ['era', 'biome'], allowed: /must be one of/ },
  { body: { prompt, request_id: 'a\r\nX-Injected: 1' }, fields: ['request_id'], allowed: /A-Z a-z 0-9/ },
  { body: { prompt, request_id: '../../etc/passwd' }, fields: ['request_id'], allowed: /A-Z a-z 0-9/ },
  { body: { prompt, request_id: 'a\0b' }, fields: ['request_id'], allowed: /A-Z a-z 0-9/ },
  { body: { prompt, request_id: 'x'.repeat(129) }, fields: ['request_id'], allowed: /1 to 128/ },
  { body: { prompt, request_id: '' }, fields: ['request_id'], allowed: /1 to 128/ },
  { body: { prompt, depth_map: {} }, fields: ['depth_map'], allowed: /either image_data or uri/ },
  { body: { prompt, depth_map: { image_data: 'a', uri: 'b' } }, fields: ['depth_map'], allowed: /either/ },
  { body: { prompt, depth_map: 'abcd' }, fields: ['depth_map'], allowed: /must be an object with/ },
  {
    body: { prompt, depth_map: { image_data: 'no base64!' } },
    fields: ['depth_map.image_data'],
    allowed: /base64/,
    code: 'invalid_image',
  },
  {
    body: { prompt, depth_map: { image_data: Buffer.from('no image').toString('base64') } },
    fields: ['depth_map.image_data'],
    allowed: /PNG, JPEG/,
    code: 'invalid_image',
  },
  {
    body: { prompt, style: 'oil', loras: [{ path: 'a', scale: 1 }] },
    fields: ['style', 'loras'],
    allowed: /not supported by the generator mock/,
    code: 'unsupported_field',
  },
  { body: [{ prompt }], fields: [''], allowed: /must be an object/ },
];

describe('a request with a bad value', () => {
  it('is refused with the name of each field and what is allowed', async () => {
    const app = await startApp();
    for (const { body, fields, allowed, code = 'invalid_request' } of BAD_VALUES) {
      const what = JSON.stringify(body).slice(0, 100);
      const { detail, errors = [] } = expectProblem(await post(app, JSON.stringify(body)), { status: 422, code }, what);
      expect([...new Set(errors.map(({ path }) => path.replace(/\.\ud800$/, '')))].sort(), what).toEqual(
        [...fields].sort(),
      );
      for (const field of fields) expect(detail, what).toContain(field);
      expect(detail, what).toMatch(allowed);
      await expectServing(app, what);
    }
    expectNoRender(app);
  });

  it('is refused with each unknown key, at any depth', async () => {
    const app = await startApp();
    const body = {
      prompt,
      promt: 'a',
      constructor: 1,
      depth_map: { image_data: 'a', format: 'png' },
      loras: [{ path: 'a', scale: 1, weight: 2 }],
    };
    const { errors, detail } = expectProblem(await post(app, JSON.stringify(body)), {
      status: 422,
      code: 'invalid_request',
    });
    const paths = ['promt', 'constructor', 'depth_map.format', 'loras.0.weight'];
    expect(errors?.map(({ path }) => path).sort()).toEqual([...paths].sort());
    for (const path of paths) expect(detail).toContain(`${path}: is not a known field`);
  });

  it('is answered under its own request_id when that one is valid', async () => {
    const app = await startApp();
    const named = await post(app, JSON.stringify({ prompt: '', request_id: 'mine' }));
    expect(expectProblem(named, { status: 422, code: 'invalid_request' }).request_id).toBe('mine');
    const bad = await post(app, JSON.stringify({ prompt: '', request_id: 'not valid' }));
    expect(expectProblem(bad, { status: 422, code: 'invalid_request' }).request_id).toBe(
      bad.headers.get('x-request-id'),
    );
  });

  it('may not name files or web addresses', async () => {
    const app = await startApp();
    for (const uri of ['/etc/passwd', 'file:///etc/passwd', 'http://127.0.0.1/x.png', 'https://a.example/x.png']) {
      const answer = await post(app, JSON.stringify({ prompt, depth_map: { uri } }));
      const { detail } = expectProblem(answer, { status: 403, code: 'uri_not_allowed' }, uri);
      expect(detail).toContain('depth_map.uri');
    }
  });
});

describe('a body that is no JSON object in UTF-8', () => {
  const deep = (open: string, close: string) => `{"prompt":"a","x":${open.repeat(10_000)}1${close.repeat(10_000)}}`;
  const bad: readonly [string, Body, ErrorCode][] = [
    ['nothing', '', 'malformed_json'],
    ['half of an object', '{"prompt":', 'malformed_json'],
    ['text behind the object', '{"prompt":"a"} x', 'malformed_json'],
    ['NaN', '{"prompt":"a","width":NaN}', 'malformed_json'],
    ['Infinity', '{"prompt":"a","width":-Infinity}', 'malformed_json'],
    ['a number beyond all numbers', '{"prompt":"a","width":1e999}', 'invalid_request'],
    ['__proto__', '{"prompt":"a","__proto__":{"admin":true}}', 'malformed_json'],
    ['__proto__ below', '{"prompt":"a","metadata":{"__proto__":{"admin":"1"}}}', 'malformed_json'],
    ['__proto__ in escapes', '{"prompt":"a","__pr\\u006fto__":{"admin":true}}', 'malformed_json'],
    ['constructor.prototype', '{"prompt":"a","constructor":{"prototype":{"admin":true}}}', 'malformed_json'],
    ['an array', '[]', 'invalid_request'],
    ['a string', '"prompt"', 'invalid_request'],
    ['null', 'null', 'invalid_request'],
    ['deep arrays', deep('[', ']'), 'invalid_request'],
    ['deep objects', deep('{"a":', '}'), 'invalid_request'],
    ['invalid UTF-8', Buffer.from('{"prompt":"a\xff\xc3"}', 'latin1'), 'malformed_json'],
    ['UTF-16', Buffer.from('{"prompt":"a"}', 'utf16le'), 'malformed_json'],
    ['NUL', Buffer.from('{"prompt":"a"}\0'), 'malformed_json'],
  ];

  it.each(bad)('is refused: %s', async (what, body, code) => {
    const app = await startApp();
    const { detail } = expectProblem(await post(app, body), { status: code === 'malformed_json' ? 400 : 422, code });
    expect(detail).toMatch(/body|object|field|width/);
    expect(Object.prototype).not.toHaveProperty('admin');
    await expectServing(app, what);
    expectNoRender(app);
  });

  it('may begin with a byte order mark', async () => {
    const app = await startApp();
    expect((await post(app, '\ufeff{"prompt":"a"}')).status).toBe(202);
  });
});

describe('the content type', () => {
  it('must be JSON', async () => {
    const app = await startApp();
    const body = Buffer.from(JSON.stringify({ prompt }));
    const types = [
      'text/plain',
      'TEXT/PLAIN; charset=utf-8',
      'text/plain\t; charset=utf-8',
      'text/plain ;',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonx',
      'application/json\tx',
      'application/json x',
      'application/json, text/plain',
      'application/problem+json',
      'text/json',
      'json',
      ';',
      undefined,
    ];
    for (const type of types) {
      const headers = type === undefined ? {} : { 'content-type': type };
      const answer = await send(`${app.url}/v1/renders`, { method: 'POST', headers, body });
      const { detail } = expectProblem(answer, { status: 415, code: 'unsupported_media_type' }, type);
      expect(detail, type).toContain('application/json');
      await expectServing(app, String(type));
    }
    expectNoRender(app);
  });

  it('may be spelled as HTTP allows, and the body is checked all the same', async () => {
    const app = await startApp();
    for (const type of [
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/json\t;\tcharset=utf-8',
      'application/json ; charset="utf-8"',
      'Application/JSON',
      ' application/json ',
      'application/json;',
    ]) {
      expectProblem(await post(app, '{"prompt":"a","width":1}', type), { status: 422, code: 'invalid_request' }, type);
      expect((await post(app, '{"prompt":"a"}', type)).status, type).toBe(202);
    }
  });
});

describe('a body over the limit', () => {
  it.each([
    ['20 MiB for renders', '/v1/renders', 20 * MIB],
    ['1 MiB elsewhere', '/v1/renders/x/cancel', MIB],
  ])('is refused: %s', async (_what, path, limit) => {
    const app = await startApp();
    // The length alone decides: nothing of such a body is read.
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
    const declared = await sendRaw(app.url, `${head}Content-Length: ${limit + 1}\r\n\r\n`);
    expect(declared).toMatch(/^HTTP\/1\.1 413 /);
    expect(rawProblem(declared)).toMatchObject({ status: 413, code: 'body_too_large' });
    expect(rawProblem(declared).detail).toContain(String(limit));

    // Without a length it is counted.
    const socket = await openSocket(app.url);
    const answered = once(socket, 'data');
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    socket.write(`${(limit + 1).toString(16)}\r\n`);
    socket.write(Buffer.alloc(limit + 1, ' '));
    expect(rawProblem(String(await answered)).code).toBe('body_too_large');
    await expectServing(app, path);
  });

  it('is as large as the configuration says', async () => {
    const app = await startApp({ config: { http: { max_body_mb: 0.001, max_image_body_mb: 0.002 } } });
    const body = (bytes: number) => JSON.stringify({ prompt: 'a'.padEnd(bytes - 13, 'b') });
    expect((await post(app, body(2097))).status).toBe(202);
    const { detail } = expectProblem(await post(app, body(2098)), { status: 413, code: 'body_too_large' });
    expect(detail).toContain('2097');
    const cancel = await send(`${app.url}/v1/renders/x/cancel`, {
      method: 'POST',
      headers: { 'content-type': JSON_TYPE },
      body: body(1049),
    });
    expectProblem(cancel, { status: 413, code: 'body_too_large' });
  });
});

describe('an address', () => {
  it('that is none is 404, whatever is sent to it', async () => {
    const app = await startApp();
    const paths = ['/nowhere', '/v1', '/v1/renders/a/b', '//v1/renders/a', '/openapiXjson', '/docs/static/x'];
    for (const path of paths) {
      const { detail } = expectProblem(await send(`${app.url}${path}`), { status: 404, code: 'not_found' }, path);
      expect(detail).toContain('/docs');
    }
    for (const type of [JSON_TYPE, 'text/plain'])
      expectProblem(
        await send(`${app.url}/nowhere`, { method: 'POST', headers: { 'content-type': type }, body: '{' }),
        { status: 404, code: 'not_found' },
        type,
      );
    await expectServing(app, 'after 404');
  });

  it('with another method is 405 with the methods that it answers', async () => {
    const app = await startApp();
    const cases: readonly [string, string, string][] = [
      ['PUT', '/v1/renders', 'GET, HEAD, POST'],
      ['OPTIONS', '/v1/renders', 'GET, HEAD, POST'],
      ['DELETE', '/v1/queue/pause', 'POST'],
      ['GET', '/v1/queue/clear', 'POST'],
      ['DELETE', '/v1/renders/x', 'GET, HEAD'],
      ['GET', '/v1/renders/x/cancel', 'POST'],
      ['POST', '/v1/images/x', 'GET, HEAD'],
      ['PATCH', '/v1/generators?a=b', 'GET, HEAD'],
      ['POST', '/v1/events', 'GET'],
      ['POST', '/health/live', 'GET, HEAD'],
      ['POST', '/openapi.json', 'GET, HEAD'],
    ];
    for (const [method, path, allow] of cases) {
      const what = `${method} ${path}`;
      const sent = method === 'GET' ? {} : { headers: { 'content-type': 'text/plain' }, body: '{' };
      const answer = await send(`${app.url}${path}`, { method, ...sent });
      const { detail } = expectProblem(answer, { status: 405, code: 'method_not_allowed' }, what);
      expect(answer.headers.get('allow')?.split(', ').sort().join(', '), what).toBe(allow);
      expect(detail, what).toContain(allow.split(', ')[0]);
    }
    await expectServing(app, 'after 405');
  });

  it('with malformed percent escapes is 400', async () => {
    const app = await startApp();
    for (const path of ['/v1/renders/%', '/v1/renders/%zz', '/v1/images/%e0%a4%a', '/%ff'])
      await expectProblemOf(app, path, [400, 'bad_request']);
    await expectProblemOf(app, `/v1/renders/${'a'.repeat(1025)}`, [400, 'bad_request']);
  });

  it('with an id that looks like a path, a header or the end of a string finds nothing', async () => {
    const app = await startApp();
    const ids = [
      '%00',
      'a%00b',
      '%0d%0aX-Injected:%201',
      '..%2f..%2fetc%2fpasswd',
      '%252e%252e%252f',
      '%2525',
      "'%20OR%201=1--",
      '%F0%9F%8E%A8',
    ];
    for (const id of ids) {
      await expectProblemOf(app, `/v1/renders/${id}`, [404, 'render_not_found']);
      await expectProblemOf(app, `/v1/images/${id}`, [422, 'invalid_request']);
    }
    await expectProblemOf(app, `/v1/images/${'A'.repeat(64)}`, [422, 'invalid_request']);
    await expectProblemOf(app, `/v1/images/${'a'.repeat(64)}.png`, [422, 'invalid_request']);
  });

  async function expectProblemOf(app: TestApp, path: string, [status, code]: [number, ErrorCode]): Promise<void> {
    const answer = await send(`${app.url}${path}`);
    expectProblem(answer, { status, code }, path);
    expect(answer.headers.get('x-injected')).toBeNull();
    await expectServing(app, path);
  }
});

describe('bytes that are no request', () => {
  const HOST = 'Host: localhost\r\n';
  const cases: readonly [string, string, number][] = [
    ['garbage', 'GARBAGE\r\n\r\n', 400],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00', 400],
    ['an unknown method', `RENDER /v1/renders HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['an unknown version', `GET / HTTP/9.9\r\n${HOST}\r\n`, 400],
    ['a NUL in a header', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
    ['a space in the address', `GET /a b HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['no Host', 'GET /health/live HTTP/1.1\r\n\r\n', 400],
    ['two lengths', `POST /v1/renders HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`, 400],
    [
      'a length and chunks',
      `POST /v1/renders HTTP/1.1\r\n${HOST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
      400,
    ],
    [
      'a chunk of no size',
      `POST /v1/renders HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
    ['large headers', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ];

  it.each(cases)('are answered with a problem: %s', async (what, bytes, status) => {
    const app = await startApp();
    const answer = await sendRaw(app.url, Buffer.from(bytes, 'latin1'));
    expect(answer.split(' ', 2)).toEqual(['HTTP/1.1', String(status)]);
    expect(answer).toMatch(/content-type: application\/problem\+json\r\n/i);
    expect(rawProblem(answer)).toMatchObject({ status, code: 'bad_request' });
    expectNoLeak(answer);
    await expectServing(app, what);
  });

  it('are answered with 408 when the rest of them never comes', async () => {
    const app = await startApp();
    // The limit is 10 s; a test need not wait for it.
    app.http.server.headersTimeout = 1;
    const socket = await openSocket(app.url);
    const answered = once(socket, 'data');
    socket.write(`POST /v1/renders HTTP/1.1\r\n${HOST}`);
    const answer = String(await answered);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(rawProblem(answer)).toMatchObject({ status: 408, code: 'request_timeout', retryable: true });
    await expectServing(app, 'after 408');
  });

  it('that ask for another protocol are answered in HTTP', async () => {
    const app = await startApp();
    // curl and Java offer HTTP/2 like this; they must get their answer.
    const h2c = { Upgrade: 'h2c', Connection: 'Upgrade, HTTP2-Settings, close', 'HTTP2-Settings': 'AAMAAABkAAQCAAAA' };
    expect(await sendRaw(app.url, upgradeRequest(app.url, '/health/live', h2c))).toMatch(/^HTTP\/1\.1 200 /);
    const answer = await sendRaw(app.url, upgradeRequest(app.url, '/v1/events', h2c));
    expect(rawProblem(answer)).toMatchObject({ status: 426, code: 'upgrade_required' });
  });

  it('do not keep the server from stopping', async () => {
    const app = await startApp();
    const half = [
      '',
      'POST /v1/renders HTTP/1.1\r\nHost',
      `POST /v1/renders HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
    ];
    for (const bytes of half) (await openSocket(app.url)).write(bytes);
    await expectServing(app, 'beside them');
    await app.stop();
  });
});
