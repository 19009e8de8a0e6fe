import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/client-error.ts';
import { GENERATOR_NAMES } from '../../src/generators/index.ts';
import { deadAddress, endedRender, json, problem, renderOf, scriptedServer } from './scripted-server.ts';
import { sharedServer } from './shared-server.ts';

const server = sharedServer();
const small = { width: 64, height: 64 };

/** What a call was refused with. */
async function refusal(call: Promise<unknown>): Promise<ClientError> {
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof ClientError) return thrown;
  throw new Error('the call was not refused', { cause: thrown });
}

describe('the client', () => {
  it('asks for a render, waits for it, reads it by either id and loads its image', async () => {
    const client = createClient({ server: server.url });
    const accepted = await client.render({ request_id: 'one', prompt: 'A river', ...small });
    expect(accepted).toMatchObject({ request_id: 'one', generator: 'mock' });
    const ended = await client.wait(accepted.id);
    expect(ended.status).toBe('succeeded');
    expect(await client.get('one')).toEqual(ended);

    const [image] = ended.images;
    const { bytes, type } = await client.image(image?.image_id ?? '');
    expect(type).toBe('image/png');
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(image?.image_id);
  });

  it('answers with the finished render when it may wait', async () => {
    const client = createClient({ server: `${server.url}/` });
    expect(await client.render({ prompt: 'A hill', ...small }, { waitMs: 60_000 })).toMatchObject({
      status: 'succeeded',
    });
  });

  it('says what a cancel really did', async () => {
    const client = createClient({ server: server.url });
    const { id } = await client.render({ prompt: 'x', generator: 'stepped' });
    expect(await client.cancel(id)).toMatchObject({ outcome: 'cancelled', render: { status: 'cancelled' } });
    expect(await client.cancel(id)).toMatchObject({ outcome: 'already_done' });
    expect((await client.wait(id)).error?.code).toBe('cancelled');
  });

  it('knows the generators and how the server is', async () => {
    const client = createClient({ server: server.url });
    expect((await client.generators()).map(({ name }) => name)).toEqual([...GENERATOR_NAMES, 'stepped']);
    expect(await client.health()).toMatchObject({ status: 'ok', parts: { journal: { status: 'ok' } } });
  });

  it('throws the server’s problems with code, status and fields', async () => {
    const client = createClient({ server: server.url });
    expect(await refusal(client.render({ prompt: 'x', width: 3 }))).toMatchObject({
      code: 'invalid_request',
      status: 422,
      retryable: false,
      issues: [{ path: 'width' }],
    });
    expect(await refusal(client.get('../generators'))).toMatchObject({ code: 'render_not_found', status: 404 });
    expect(await refusal(client.image('0'.repeat(64)))).toMatchObject({ code: 'image_not_found' });
  });

  it('stops waiting with the signal’s reason, and the render goes on', async () => {
    const client = createClient({ server: server.url });
    const { id } = await client.render({ prompt: 'x', generator: 'stepped' });
    const leaving = new AbortController();
    const waiting = client.wait(id, { signal: leaving.signal });
    leaving.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    expect(await client.get(id)).not.toHaveProperty('finished_at');
    await client.cancel(id);
  });

  it('says when nobody listens', async () => {
    const client = createClient({ server: await deadAddress() });
    expect(await refusal(client.health())).toMatchObject({ code: 'unreachable', status: undefined, retryable: true });
  });
});

describe('the client before odd servers', () => {
  it('tells when to try again, and whether', async () => {
    const { url } = await scriptedServer(
      problem(429, 'queue_full', { retryable: true }, { 'retry-after': '7' }),
      problem(503, 'a_code_of_tomorrow', { retryable: true }, { 'retry-after': new Date(0).toUTCString() }),
      problem(409, 'request_id_conflict', {}, { 'retry-after': 'soon' }),
    );
    const client = createClient({ server: url });
    const first = await refusal(client.render({ prompt: 'x' }));
    expect(first).toMatchObject({ code: 'queue_full', status: 429, retryable: true, retryAfterMs: 7000 });
    expect(first.message).toBe('It is queue_full.');
    const second = await refusal(client.render({ prompt: 'x' }));
    expect(second).toMatchObject({ code: 'a_code_of_tomorrow', retryAfterMs: 0 });
    const third = await refusal(client.render({ prompt: 'x' }));
    expect(third).toMatchObject({ code: 'request_id_conflict', retryable: false, retryAfterMs: undefined });
  });

  it('does not take a page, half a document or another shape for an answer', async () => {
    const { url } = await scriptedServer(
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
      (response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'),
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"id": '),
      json(200, { generators: [{ name: 'mock' }] }),
      json(404, { error: 'what?' }),
    );
    const client = createClient({ server: url });
    const page = await refusal(client.generators());
    expect(page).toMatchObject({ code: 'unexpected_answer', status: 200, retryable: false });
    expect(page.message).toContain('200 with text/html');
    expect(await refusal(client.generators())).toMatchObject({
      code: 'unexpected_answer',
      status: 502,
      retryable: true,
    });
    expect(await refusal(client.get('x'))).toMatchObject({ code: 'unexpected_answer', status: 200 });
    expect(await refusal(client.generators())).toMatchObject({ code: 'unexpected_answer', status: 200 });
    expect(await refusal(client.cancel('x'))).toMatchObject({
      code: 'unexpected_answer',
      status: 404,
      retryable: false,
    });
  });

  it('does not take a page for an image', async () => {
    const { url } = await scriptedServer((response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
    );
    expect(await refusal(createClient({ server: url }).image('0'))).toMatchObject({ code: 'unexpected_answer' });
  });

  it('says when the connection breaks off before or amid the answer', async () => {
    const { url } = await scriptedServer(
      (response) => response.destroy(),
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 });
        response.write('{', () => response.destroy());
      },
    );
    const client = createClient({ server: url });
    expect(await refusal(client.health())).toMatchObject({ code: 'unreachable' });
    expect(await refusal(client.health())).toMatchObject({ code: 'unreachable' });
  });

  it('asks again until the render has ended, also where answers are not held', async () => {
    const { url, asked } = await scriptedServer(
      json(200, renderOf({ status: 'running' }), { 'preference-applied': 'wait=60' }),
      json(200, renderOf({ status: 'running' })),
      json(200, endedRender()),
    );
    expect(await createClient({ server: url }).wait('a b')).toMatchObject({ status: 'succeeded' });
    expect(asked.map(({ url: path, headers }) => [path, headers.prefer])).toEqual(
      Array.from({ length: 3 }, () => ['/v1/renders/a%20b', 'wait=60']),
    );
  });

  it('does not look again once its signal has ended the wait', async () => {
    const leaving = new AbortController();
    const { url, asked } = await scriptedServer((response, one) => {
      json(200, renderOf({ status: 'running' }))(response, one);
      response.once('close', () => leaving.abort('enough'));
    });
    await expect(createClient({ server: url }).wait('x', { signal: leaving.signal })).rejects.toBe('enough');
    expect(asked).toHaveLength(1);
  });

  it('resolves with the health of a server that is not well, and keeps the path of its address', async () => {
    const report = {
      status: 'failed',
      version: '1',
      uptime_s: 1,
      parts: { store: { status: 'failed', reason: 'full' } },
    };
    const { url, asked } = await scriptedServer(json(503, report));
    expect(await createClient({ server: `${url}/images/` }).health()).toEqual(report);
    expect(asked[0]?.url).toBe('/images/health');
  });
});
