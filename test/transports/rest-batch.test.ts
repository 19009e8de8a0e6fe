import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { Answer, ConfigChanges, TestApp } from '../helper.ts';
import { startApp, temporaryDir } from '../helper.ts';

/** A server whose generator the test steps. */
async function startStepped(options: { config?: ConfigChanges; dir?: string } = {}) {
  const stepped = new SteppedGenerator();
  const app = await startApp({
    ...options,
    config: { generator: { strategy: 'stepped' }, ...options.config, http: { drain_s: 0, ...options.config?.http } },
    overrides: { generators: new Map([['stepped', stepped]]) },
  });
  return { app, stepped };
}

const batch = (app: TestApp, requests: unknown, headers: Record<string, string> = {}) =>
  app.call('POST', '/v1/renders/batch', { requests }, headers);
const render = (app: TestApp, body: object, key: string) =>
  app.call('POST', '/v1/renders', body, { 'idempotency-key': key });

/** Paths that a problem names, after its status and code. */
function expectRefused({ status, body }: Answer, wanted: number, code: ErrorCode): string[] {
  expect({ status, code: body.code }).toEqual({ status: wanted, code });
  return (body.errors ?? []).map(({ path }: { path: string }) => path);
}

async function countRenders(app: TestApp): Promise<number> {
  return (await app.call('GET', '/v1/renders?limit=200')).body.renders.length;
}

describe('POST /v1/renders/batch', () => {
  it('accepts all with one batch_id, in their order, and lists them by it', async () => {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'alone' });
    await stepped.call(1);
    const { status, body } = await batch(app, [
      { prompt: 'a', request_id: 'a' },
      { prompt: 'b', priority: 1 },
    ]);
    expect(status).toBe(202);
    expect(body.renders).toMatchObject([
      { request_id: 'a', batch_id: body.batch_id, queue_position: 1 },
      { request: { prompt: 'b' }, batch_id: body.batch_id, queue_position: 1 },
    ]);
    const listed = await app.call('GET', `/v1/renders?batch_id=${body.batch_id}`);
    const ids = body.renders.map(({ id }: { id: string }) => id);
    expect(listed.body.renders.map(({ id }: { id: string }) => id)).toEqual(ids.reverse());
    expect((await app.call('GET', '/v1/renders/a')).body.batch_id).toBe(body.batch_id);
  });

  it('accepts none when one of them is bad, and names its field by its place', async () => {
    const { app } = await startStepped();
    const good = { prompt: 'a' };
    const bad: readonly [object, number, ErrorCode, string][] = [
      [{ prompt: 'b', width: 3 }, 422, 'invalid_request', 'requests.1.width'],
      [{ prompt: 'b', unknown: 1 }, 422, 'invalid_request', 'requests.1.unknown'],
      [{ prompt: 'b', steps: 4 }, 422, 'unsupported_field', 'requests.1.steps'],
      [{ prompt: 'b', generator: 'none' }, 422, 'unknown_generator', 'requests.1.generator'],
      [{ prompt: 'b', depth_map: { image_data: '!' } }, 422, 'invalid_image', 'requests.1.depth_map'],
    ];
    for (const [request, status, code, path] of bad) {
      const paths = expectRefused(await batch(app, [good, request]), status, code);
      expect(paths.some((named) => named.startsWith(path))).toBe(true);
    }
    expect(await countRenders(app)).toBe(0);
  });

  it('names the fields by their place also when the batch has one request only', async () => {
    const { app } = await startStepped();
    expect(expectRefused(await batch(app, [{ prompt: 'b', steps: 4 }]), 422, 'unsupported_field')).toEqual([
      'requests.0.steps',
    ]);
    await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'taken' });
    const conflict = await batch(app, [{ prompt: 'b', request_id: 'taken' }]);
    expect(expectRefused(conflict, 409, 'request_id_conflict')).toEqual(['requests.0.request_id']);
  });

  it('accepts none when one has the id of another request, or of another one in the batch', async () => {
    const { app } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'taken' });
    const conflict = await batch(app, [{ prompt: 'a' }, { prompt: 'b', request_id: 'taken' }]);
    expect(expectRefused(conflict, 409, 'request_id_conflict')).toEqual(['requests.1.request_id']);
    const twins = await batch(app, [
      { prompt: 'a', request_id: 'twin' },
      { prompt: 'a', request_id: 'twin' },
    ]);
    expect(expectRefused(twins, 422, 'invalid_request')).toEqual(['requests.1.request_id']);
    expect(await countRenders(app)).toBe(1);
  });

  it('takes the renders that are there already as they are', async () => {
    const { app } = await startStepped();
    const first = await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'a' });
    const { status, body } = await batch(app, [{ prompt: 'a', request_id: 'a' }, { prompt: 'b' }]);
    expect(status).toBe(202);
    expect(body.renders[0].id).toBe(first.body.id);
    expect(body.renders[0].batch_id).toBeUndefined();
    expect(body.renders[1].batch_id).toBe(body.batch_id);
    expect(await countRenders(app)).toBe(2);
  });

  it('accepts none when there is no room for all, and says when to come again', async () => {
    const { app, stepped } = await startStepped({ config: { queue: { max_length: 2 } } });
    await app.call('POST', '/v1/renders', { prompt: 'runs' });
    await stepped.call(1);
    const refused = await batch(app, [{ prompt: 'a' }, { prompt: 'b' }, { prompt: 'c' }]);
    expectRefused(refused, 429, 'queue_full');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await countRenders(app)).toBe(1);
    expect((await batch(app, [{ prompt: 'a' }, { prompt: 'b' }])).status).toBe(202);
  });

  it('refuses none, more than 100, other keys, and what is no list', async () => {
    const { app } = await startStepped();
    const requests = (count: number) => Array.from({ length: count }, () => ({ prompt: 'a' }));
    for (const wrong of [[], requests(101), undefined, {}, 'a']) {
      expect(expectRefused(await batch(app, wrong), 422, 'invalid_request')).toEqual(['requests']);
    }
    const other = await app.call('POST', '/v1/renders/batch', { requests: requests(1), prompt: 'a' });
    expect(expectRefused(other, 422, 'invalid_request')).toEqual(['prompt']);
    expect(await countRenders(app)).toBe(0);
    expect((await batch(app, requests(100))).body.renders).toHaveLength(100);
  });

  it('refuses a body over the limit of images, and only that', async () => {
    const { app } = await startStepped({ config: { http: { max_image_body_mb: 0.1 } } });
    const body = (length: number) => [
      { prompt: 'a', metadata: { note: 'x'.repeat(200) } },
      { prompt: 'y'.repeat(length) },
    ];
    expectRefused(await batch(app, body(110_000)), 413, 'body_too_large');
    expect(await countRenders(app)).toBe(0);
    expect((await batch(app, body(9_000))).status).toBe(202);
  });

  it('answers the same Idempotency-Key with the batch that there is, and refuses it for another one', async () => {
    const { app } = await startStepped();
    const requests = [{ prompt: 'a' }, { prompt: 'b' }];
    const key = { 'idempotency-key': 'batch-1' };
    const first = await batch(app, requests, key);
    const again = await batch(app, requests, key);
    expect(again.status).toBe(202);
    expect(again.body.batch_id).toBe(first.body.batch_id);
    const ids = ({ body }: Answer) => body.renders.map(({ id }: { id: string }) => id);
    expect(ids(again)).toEqual(ids(first));
    for (const other of [requests.toReversed(), requests.slice(1), [...requests, { prompt: 'c' }]]) {
      expectRefused(await batch(app, other, key), 422, 'idempotency_key_conflict');
    }
    expect(await countRenders(app)).toBe(2);
  });
});

describe('Idempotency-Key', () => {
  it('makes one render of the same request, however often it comes, also after a restart', async () => {
    const dir = await temporaryDir();
    const { app } = await startStepped({ dir });
    const asked = { prompt: 'a', metadata: { room: '2', floor: '1' } };
    const same = { metadata: { floor: '1', room: '2' }, width: null, prompt: 'a' };
    const answers = await Promise.all(Array.from({ length: 100 }, (_, at) => render(app, at % 2 ? same : asked, 'k')));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(99);
    const [id, ...others] = new Set(answers.map(({ body }) => body.id));
    expect(others).toEqual([]);
    expect(await countRenders(app)).toBe(1);
    await app.stop();
    const { app: later } = await startStepped({ dir });
    expect(await render(later, asked, 'k')).toMatchObject({ status: 200, body: { id } });
    expect(await countRenders(later)).toBe(1);
  });

  it('is refused for another request, and changes nothing then', async () => {
    const { app } = await startStepped();
    const first = await render(app, { prompt: 'a' }, 'k');
    const other = await render(app, { prompt: 'b', clear_queue: true }, 'k');
    expectRefused(other, 422, 'idempotency_key_conflict');
    expect(JSON.stringify(other.body)).not.toContain(first.body.id);
    expect((await app.call('GET', `/v1/renders/${first.body.id}`)).body.status).not.toBe('cancelled');
    expect((await render(app, { prompt: 'b' }, 'K')).status).toBe(202);
  });

  it('still stands for its render when the request would be refused today', async () => {
    const dir = await temporaryDir();
    const { app } = await startStepped({ dir });
    const asked = { prompt: 'a', depth_map: undefined, negative_prompt: 'fog' };
    const first = await render(app, asked, 'k');
    await app.stop();
    // A generator that knows no negative prompts.
    const later = await startApp({ dir, config: { generator: { strategy: 'mock' }, queue: { max_length: 1 } } });
    expect(await render(later, asked, 'k')).toMatchObject({ status: 200, body: { id: first.body.id } });
  });

  it('must be 1 to 255 printable characters', async () => {
    const { app } = await startStepped();
    for (const key of ['', 'x'.repeat(256), 'tab\tbed', 'é']) {
      const paths = expectRefused(await render(app, { prompt: 'a' }, key), 422, 'invalid_request');
      expect(paths.join().toLowerCase()).toContain('idempotency-key');
    }
    expect(await countRenders(app)).toBe(0);
    expect((await render(app, { prompt: 'a' }, `~ ${'x'.repeat(253)}`)).status).toBe(202);
  });
});
