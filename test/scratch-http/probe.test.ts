import { connect as tcp } from 'node:net';
import { test } from 'vitest';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { startApp } from '../helper.ts';

function raw(port: number, text: string | Buffer, half = true): Promise<string> {
  return new Promise((res) => {
    const s = tcp(port, '127.0.0.1');
    let out = '';
    s.on('data', (d) => (out += d));
    s.on('close', () => res(out));
    s.on('error', (e) => res('ERR ' + e.message + out));
    if (half) s.end(text);
    else s.write(text);
    setTimeout(() => {
      if (!s.destroyed) {
        res('TIMEOUT ' + out);
        s.destroy();
      }
    }, 1500);
  });
}
test('probe', async () => {
  const app = await startApp();
  const port = Number(new URL(app.url).port);
  const show = (name: string, a: any) =>
    console.log(name, a.status, JSON.stringify(a.body)?.slice(0, 400), a.headers?.get?.('allow') ?? '');
  const post = async (
    name: string,
    body: any,
    ct: string | null = 'application/json',
    path = '/v1/renders',
    method = 'POST',
  ) => {
    try {
      const r = await fetch(app.url + path, {
        method,
        body,
        headers: ct === null ? {} : { 'content-type': ct },
        duplex: 'half',
      } as any);
      const t = await r.text();
      console.log(name, r.status, r.headers.get('content-type'), r.headers.get('allow') ?? '', t.slice(0, 330));
    } catch (e) {
      console.log(name, 'THROW', (e as any).cause?.code ?? e);
    }
  };
  await post('blank', '{"prompt":"  "}');
  await post('missing', '{}');
  await post('null prompt', '{"prompt":null}');
  await post('unknown gen', '{"prompt":"a","generator":"x"}');
  await post(
    'types',
    '{"prompt":5,"width":"512","seed":1.5,"clear_queue":"yes","metadata":{"a":1},"output_format":"gif"}',
  );
  await post(
    'unk keys',
    '{"prompt":"a","foo":1,"bar":2,"depth_map":{"image_data":"aa","zip":1},"loras":[{"path":"a","scale":1,"q":2}]}',
  );
  await post('1e9', '{"prompt":"a","width":1e9}');
  await post('1e999', '{"prompt":"a","width":1e999}');
  await post('text', '{"prompt":"a"}', 'text/plain');
  await post('form', 'prompt=a', 'application/x-www-form-urlencoded');
  await post('tab', '{"prompt":""}', 'application/json\t; charset=utf-8');
  await post('tab2', '{"prompt":""}', 'application/json\ta');
  await post('space', '{"prompt":""}', 'application/json ; charset=utf-8');
  await post('space2', '{"prompt":""}', ' application/json');
  await post('case', '{"prompt":""}', 'Application/JSON');
  await post('jsonp', '{"prompt":""}', 'application/problem+json');
  await post('json;', '{"prompt":""}', 'application/json;');
  await post('latin1', '{"prompt":"a"}', 'application/json; charset=latin1');
  await post('none', Buffer.from('{"prompt":""}'), null);
  await post('proto', '{"prompt":"a","__proto__":{"x":1}}');
  await post('constructor', '{"prompt":"a","constructor":{"prototype":{"x":1}}}');
  await post('constructor only', '{"prompt":"a","constructor":1}');
  await post('nested proto', '{"prompt":"a","metadata":{"__proto__":"x"}}');
  await post('deep', '{"prompt":"a","x":' + '['.repeat(10000) + ']'.repeat(10000) + '}');
  await post('deepm', '{"prompt":"a","metadata":' + '{"a":'.repeat(10000) + '1' + '}'.repeat(10000) + '}');
  await post('NaN', '{"prompt":"a","width":NaN}');
  await post('malformed', '{"prompt":');
  await post('empty', '');
  await post('array', '[]');
  await post('string', '"x"');
  await post('null', 'null');
  await post('badutf8', Buffer.concat([Buffer.from('{"prompt":"a'), Buffer.from([0xff, 0xc3]), Buffer.from('"}')]));
  await post('bom', '\ufeff{"prompt":"a"}');
  await post('lone', '{"prompt":"\\ud800x"}');
  await post('lone meta', '{"prompt":"x","metadata":{"\\ud800":"\\udc00"}}');
  await post('nul', '{"prompt":"x\\u0000y"}');
  await post('id crlf', '{"prompt":"x","request_id":"a\\r\\nb"}');
  await post('big', '{"prompt":"' + 'a'.repeat(21 * 1024 * 1024) + '"}');
  await post(
    'big cancel',
    '{"prompt":"' + 'a'.repeat(2 * 1024 * 1024) + '"}',
    'application/json',
    '/v1/renders/x/cancel',
  );
  await post('cancel body', '{"prompt":"', 'application/json', '/v1/renders/x/cancel');
  await post('cancel empty json', '', 'application/json', '/v1/renders/x/cancel');
  await post('unknown path text', 'x', 'text/plain', '/nope');
  await post('unknown path badjson', '{', 'application/json', '/nope');
  await post('put text', 'x', 'text/plain', '/v1/renders', 'PUT');
  await post('put json', '{', 'application/json', '/v1/renders', 'PUT');
  for (const [m, p] of [
    ['GET', '/v1/renders'],
    ['DELETE', '/v1/renders/x'],
    ['OPTIONS', '/v1/renders'],
    ['GET', '/openapiXjson'],
    ['GET', '/nope'],
    ['GET', '/v1/renders/%zz'],
    ['GET', '/v1/renders/%'],
    ['GET', '/v1/renders/' + 'a'.repeat(1500)],
    ['GET', '/v1/renders/%00'],
    ['GET', '/v1/renders/a%2fb'],
    ['GET', '/v1/renders/%252e%252e%252f'],
    ['GET', '/v1/renders/..%2f..%2fetc'],
    ['GET', '/v1/renders/a%0d%0ab'],
    ['GET', '/v1/images/zz'],
    ['GET', '/v1/images/' + 'a'.repeat(64)],
    ['GET', '/v1/images/..%2f..%2fx'],
    ['PUT', '/v1/images/x'],
    ['GET', '/v1/events'],
    ['GET', '/v1/generators/nope'],
    ['GET', '/v1/generators/__proto__'],
    ['GET', '/docs'],
    ['GET', '/docs/static/..%2f..%2fx'],
    ['GET', '/v1/renders/'],
    ['GET', '//v1/renders/a'],
    ['POST', '/health'],
  ] as const) {
    show(m + ' ' + p.slice(0, 60), await app.call(m, p));
  }
  console.log('RAW garbage', await raw(port, 'GARBAGE\r\n\r\n'));
  console.log(
    'RAW header',
    (await raw(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20000)}\r\n\r\n`)).slice(0, 500),
  );
  console.log('RAW nohost', (await raw(port, `GET /health/live HTTP/1.1\r\n\r\n`)).slice(0, 300));
  console.log('RAW http10', (await raw(port, `GET /health/live HTTP/1.0\r\n\r\n`)).slice(0, 300));
  console.log('RAW method', (await raw(port, `FOO /health/live HTTP/1.1\r\nHost: x\r\n\r\n`)).slice(0, 400));
  console.log('RAW abs', (await raw(port, `GET http://evil/health/live HTTP/1.1\r\nHost: x\r\n\r\n`)).slice(0, 400));
  console.log('RAW star', (await raw(port, `OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n`)).slice(0, 600));
  console.log('RAW connect', (await raw(port, `CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n`)).slice(0, 600));
  console.log(
    'RAW expect',
    (await raw(port, `POST /v1/renders HTTP/1.1\r\nHost: x\r\nExpect: foo\r\nContent-Length: 2\r\n\r\n{}`)).slice(
      0,
      600,
    ),
  );
  console.log('RAW tls', (await raw(port, Buffer.from([0x16, 3, 1, 2, 0, 1, 0]))).slice(0, 600));
  const up = (path: string, extra = '', method = 'GET') =>
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extra}\r\n`;
  console.log(
    'UP foreign',
    (await raw(port, up('/v1/events', 'Origin: https://evil.example\r\n'), false)).slice(0, 900),
  );
  console.log('UP null', (await raw(port, up('/v1/events', 'Origin: null\r\n'), false)).slice(0, 100));
  console.log('UP unknown', (await raw(port, up('/nope'), false)).slice(0, 600));
  console.log('UP other', (await raw(port, up('/v1/generators'), false)).slice(0, 600));
  console.log(
    'UP other foreign',
    (await raw(port, up('/v1/generators', 'Origin: https://evil.example\r\n'), false)).slice(0, 100),
  );
  console.log('UP post', (await raw(port, up('/v1/renders', 'Content-Length: 0\r\n', 'POST'), false)).slice(0, 600));
  console.log('UP version', (await raw(port, up('/v1/events').replace('13', '7'), false)).slice(0, 600));
  console.log('UP h2c', (await raw(port, up('/v1/events').replace('websocket', 'h2c'), false)).slice(0, 600));
  console.log('UP badurl', (await raw(port, up('/v1/%zz'), false)).slice(0, 600));
  show('live', await app.call('GET', '/health/live'));
});
