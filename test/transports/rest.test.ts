import { rm } from 'node:fs/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { GENERATOR_NAMES } from '../../src/generators/index.ts';
import { generatorResource, renderResource } from '../../src/messages/render.ts';
import { preferredWaitMs } from '../../src/transports/http/prefer.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { expectProblem, send } from './raw-http.ts';

async function startStepped(clock?: ManualClock): Promise<{ app: TestApp; stepped: SteppedGenerator }> {
  const stepped = new SteppedGenerator();
  const overrides = { generators: new Map([['stepped', stepped]]), ...(clock === undefined ? {} : { clock }) };
  const app = await startApp({ config: { http: { drain_s: 0 }, generator: { strategy: 'stepped' } }, overrides });
  return { app, stepped };
}

/** Time that tells when somebody waits for just so long. */
class WatchedClock extends ManualClock {
  readonly #watchers = new Map<number, PromiseWithResolvers<void>>();

  override after(ms: number, fn: () => void): () => void {
    const cancel = super.after(ms, fn);
    this.#watcher(ms).resolve();
    return cancel;
  }

  asked(ms: number): Promise<void> {
    return this.#watcher(ms).promise;
  }

  #watcher(ms: number): PromiseWithResolvers<void> {
    const watcher = this.#watchers.get(ms) ?? Promise.withResolvers<void>();
    this.#watchers.set(ms, watcher);
    return watcher;
  }
}

describe('POST /v1/renders', () => {
  it('answers 202 with the render and where it will be', async () => {
    const { app, stepped } = await startStepped();
    const { status, headers, body } = await app.call('POST', '/v1/renders', { prompt: 'a delta' });
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/v1/renders/${body.id}`);
    expect(headers.get('preference-applied')).toBeNull();
    expect(renderResource.parse(body)).toMatchObject({
      request_id: body.id,
      request: { prompt: 'a delta' },
      generator: 'stepped',
      images: [],
      metadata: {},
    });
    (await stepped.call(1)).finish();
  });

  it('echoes request_id and metadata, and keeps explicit fields only', async () => {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', {
      prompt: 'a',
      request_id: 'Visitor.1:a-b_c',
      width: null,
      metadata: { room: '2' },
    });
    expect(body).toMatchObject({ request_id: 'Visitor.1:a-b_c', metadata: { room: '2' } });
    expect(Object.keys(body.request).sort()).toEqual(['metadata', 'prompt']);
    (await stepped.call(1)).finish();
  });

  it('answers 200 with the finished render when the caller prefers to wait', async () => {
    const app = await startApp();
    const { status, headers, body } = await app.render({ prompt: 'a delta', seed: 4, width: 64, height: 64 });
    expect(status).toBe(200);
    expect(headers.get('preference-applied')).toBe('wait=60');
    expect(headers.get('location')).toBe(`/v1/renders/${body.id}`);
    expect(renderResource.parse(body)).toMatchObject({ status: 'succeeded', images: [{ seed: 4, width: 64 }] });
  });

  it('answers 200 as well when the render that was waited for has failed', async () => {
    const { app, stepped } = await startStepped();
    const answer = app.render({ prompt: 'a' });
    (await stepped.call(1)).fail(new AppError('generator_failed', 'The provider said no.'));
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'failed',
      error: { code: 'generator_failed', message: 'The provider said no.', retryable: true },
      attempts: [{ outcome: 'failed' }],
      images: [],
    });
  });

  it('shows nothing of an error that nobody expected but that it was one', async () => {
    const { app, stepped } = await startStepped();
    const answer = app.render({ prompt: 'a' });
    (await stepped.call(1)).fail(new Error('ENOENT: /srv/secret/model.onnx'));
    const { body } = await answer;
    expect(body.error.code).toBe('internal');
    expect(JSON.stringify(body)).not.toContain('/srv/secret');
  });

  it('waits 60 s at most, and then answers 202 with the render as it is', async () => {
    const clock = new WatchedClock();
    const { app, stepped } = await startStepped(clock);
    const answer = app.call('POST', '/v1/renders', { prompt: 'a' }, { prefer: 'wait=99999999999999999999' });
    await stepped.call(1);
    await clock.asked(60_000);
    await clock.advance(60_000);
    const { status, headers, body } = await answer;
    expect(status).toBe(202);
    expect(headers.get('preference-applied')).toBe('wait=60');
    expect(body.status).toBe('running');
    (await stepped.call(1)).finish();
  });

  it('tells who still waits when the server stops how the render is', async () => {
    const { app, stepped } = await startStepped();
    const running = app.render({ prompt: 'a' });
    await stepped.call(1);
    const queued = app.render({ prompt: 'b', request_id: 'b' });
    while ((await app.call('GET', '/v1/renders/b')).status === 404);
    await app.stop();
    expect(await running).toMatchObject({ status: 202, body: { status: 'queued' } });
    expect(await queued).toMatchObject({ status: 202, body: { status: 'queued' } });
  });

  it('answers a known request_id with the same body with the render that there is', async () => {
    const app = await startApp();
    const asked = { request_id: 'once', prompt: 'a', width: 64, height: 64, metadata: { a: '1', b: '2' } };
    const first = await app.render(asked);
    const again = await app.call('POST', '/v1/renders', {
      metadata: { b: '2', a: '1' },
      height: 64,
      width: 64.0,
      seed: null,
      prompt: 'a',
      request_id: 'once',
    });
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
  });

  it('refuses a known request_id with another body', async () => {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { request_id: 'once', prompt: 'a' });
    const other = await send(`${app.url}/v1/renders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ request_id: 'once', prompt: 'b' }),
    });
    const { detail, request_id, errors } = expectProblem(other, { status: 409, code: 'request_id_conflict' });
    expect(detail).toMatch(/^request_id: /);
    expect(request_id).toBe('once');
    expect(errors).toEqual([{ path: 'request_id', message: 'belongs to another request' }]);
    (await stepped.call(1)).finish();
  });

  it('says when to come back when the queue is full', async () => {
    const stepped = new SteppedGenerator();
    const app = await startApp({
      config: { http: { drain_s: 0 }, generator: { strategy: 'stepped' }, queue: { max_length: 1 } },
      overrides: { generators: new Map([['stepped', stepped]]) },
    });
    await app.call('POST', '/v1/renders', { prompt: 'runs' });
    await stepped.call(1);
    expect((await app.call('POST', '/v1/renders', { prompt: 'waits' })).status).toBe(202);
    const { status, headers, body } = await app.call('POST', '/v1/renders', { prompt: 'too many' });
    expect({ status, code: body.code, retryable: body.retryable }).toEqual({
      status: 429,
      code: 'queue_full',
      retryable: true,
    });
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });
});

describe('Prefer', () => {
  it('is read among several preferences, in any spelling that RFC 7240 allows', () => {
    for (const header of ['wait=5', 'WAIT=5', 'wait = 5', 'wait="5"', 'respond-async, wait=5', 'a=b; c, wait=5;d'])
      expect(preferredWaitMs(header), header).toBe(5000);
    expect(preferredWaitMs('wait=0')).toBe(0);
    expect(preferredWaitMs('wait=61')).toBe(60_000);
    expect(preferredWaitMs('wait=7, wait=9')).toBe(7000);
  });

  it('is ignored when it is garbage', async () => {
    const garbage = [
      '',
      'wait',
      'wait=',
      'wait=abc',
      'wait=-1',
      'wait=1.5',
      'await=5',
      'wait=5s',
      'wait==5',
      '=',
      ',;,',
    ];
    for (const header of garbage) expect(preferredWaitMs(header), header).toBeUndefined();

    const { app, stepped } = await startStepped();
    const { status, headers } = await app.call('POST', '/v1/renders', { prompt: 'a' }, { prefer: 'wait=soon' });
    expect(status).toBe(202);
    expect(headers.get('preference-applied')).toBeNull();
    (await stepped.call(1)).finish();
  });
});

describe('GET /v1/renders/{id}', () => {
  it('finds a render by its id and by its request_id, and answers HEAD', async () => {
    const app = await startApp();
    const { body } = await app.render({ prompt: 'a', request_id: 'mine', width: 64, height: 64 });
    expect((await app.call('GET', `/v1/renders/${body.id}`)).body).toEqual(body);
    expect((await app.call('GET', '/v1/renders/mine')).body).toEqual(body);
    const head = await send(`${app.url}/v1/renders/mine`, { method: 'HEAD' });
    expect({ status: head.status, text: head.text }).toEqual({ status: 200, text: '' });
  });

  it('waits for the end when the caller prefers that', async () => {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
    const step = await stepped.call(1);
    const answer = app.call('GET', `/v1/renders/${body.id}`, undefined, { prefer: 'wait=60' });
    step.hooks.onProgress({ step: 1, steps: 4 });
    expect((await app.call('GET', `/v1/renders/${body.id}`)).body).toMatchObject({
      status: 'running',
      progress: { step: 1, steps: 4, fraction: 0.25 },
    });
    step.finish();
    const finished = await answer;
    expect(finished.status).toBe(200);
    expect(finished.headers.get('preference-applied')).toBe('wait=60');
    expect(finished.body.status).toBe('succeeded');
  });

  it('knows nothing of a render that there is not', async () => {
    const app = await startApp();
    const { detail } = expectProblem(await send(`${app.url}/v1/renders/none`), {
      status: 404,
      code: 'render_not_found',
    });
    expect(detail).toContain('id');
  });
});

describe('POST /v1/renders/{id}/cancel', () => {
  it('says what really happened to a running, a waiting and a finished render', async () => {
    const { app, stepped } = await startStepped();
    const cancel = async (id: string) => (await app.call('POST', `/v1/renders/${id}/cancel`)).body;

    await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'running' });
    await stepped.call(1);
    await app.call('POST', '/v1/renders', { prompt: 'b', request_id: 'waiting' });
    const over = { status: 'cancelled', error: { code: 'cancelled', retryable: false } };
    expect(await cancel('waiting')).toMatchObject({ outcome: 'cancelled', render: over });
    expect(await cancel('running')).toMatchObject({ outcome: 'cancelled', render: over });
    expect(await cancel('running')).toMatchObject({ outcome: 'already_done', render: over });

    const done = app.render({ prompt: 'c', request_id: 'done' });
    (await stepped.call(2)).finish();
    await done;
    expect(await cancel('done')).toMatchObject({ outcome: 'already_done', render: { status: 'succeeded' } });
    expect(await cancel((await done).body.id)).toMatchObject({ outcome: 'already_done' });
  });

  it('takes a body that says nothing, and none', async () => {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'a' });
    await stepped.call(1);
    expect((await app.call('POST', '/v1/renders/a/cancel', {})).body.outcome).toBe('cancelled');
    expect((await app.call('POST', '/v1/renders/a/cancel')).body.outcome).toBe('already_done');
  });

  it('refuses an unknown render', async () => {
    const app = await startApp();
    const answer = await send(`${app.url}/v1/renders/none/cancel`, { method: 'POST' });
    expectProblem(answer, { status: 404, code: 'render_not_found' });
  });
});

describe('GET /v1/images/{image_id}', () => {
  async function withImage(format: 'png' | 'jpeg') {
    const app = await startApp();
    const { body } = await app.render({ prompt: 'a', seed: 1, width: 96, height: 64, output_format: format });
    const [image] = body.images;
    return { app, image, path: `/v1/images/${image.image_id}` };
  }

  it.each(['png', 'jpeg'] as const)('answers the bytes of a %s, to be kept for ever', async (format) => {
    const { app, image, path } = await withImage(format);
    expect(image.url).toBe(`${app.url}${path}`);
    const { status, headers, body } = await app.call('GET', path);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe(`image/${format}`);
    expect(headers.get('content-length')).toBe(String(image.bytes));
    expect(headers.get('etag')).toBe(`"${image.image_id}"`);
    expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(await sharp(body).metadata()).toMatchObject({ format, width: 96, height: 64 });
  });

  it('answers HEAD with the same headers and no bytes', async () => {
    const { app, image, path } = await withImage('png');
    const { status, headers, text } = await send(`${app.url}${path}`, { method: 'HEAD' });
    expect({ status, text }).toEqual({ status: 200, text: '' });
    expect(headers.get('content-type')).toBe('image/png');
    expect(headers.get('content-length')).toBe(String(image.bytes));
    expect(headers.get('etag')).toBe(`"${image.image_id}"`);
  });

  it('answers 304 to whoever has it already', async () => {
    const { app, image, path } = await withImage('png');
    const tag = `"${image.image_id}"`;
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, `"other",W/${tag} , "more"`, '*']) {
      const { status, headers, text } = await send(`${app.url}${path}`, { headers: { 'if-none-match': known } });
      expect({ status, text }, known).toEqual({ status: 304, text: '' });
      expect(headers.get('etag'), known).toBe(tag);
      expect(headers.get('cache-control'), known).toContain('immutable');
    }
    for (const other of ['"other"', image.image_id, '""', ',', 'W/"other"']) {
      const { status } = await send(`${app.url}${path}`, { headers: { 'if-none-match': other } });
      expect(status, other).toBe(200);
    }
  });

  it('knows nothing of an image that there is not', async () => {
    const app = await startApp();
    const answer = await send(`${app.url}/v1/images/${'0'.repeat(64)}`);
    expectProblem(answer, { status: 404, code: 'image_not_found' });
  });

  it('lets nobody keep the answer that a file is gone', async () => {
    const { app, image, path } = await withImage('png');
    await rm(image.uri.slice('file://'.length));
    const answer = await send(`${app.url}${path}`);
    expectProblem(answer, { status: 410, code: 'image_evicted' });
    expect(answer.headers.get('cache-control')).toBeNull();
    expect(answer.headers.get('etag')).toBeNull();
  });
});

describe('GET /v1/generators', () => {
  it('lists the generators with what they can do and how they are', async () => {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'a' });
    await stepped.call(1);
    await app.call('POST', '/v1/renders', { prompt: 'b' });
    const { status, body } = await app.call('GET', '/v1/generators');
    expect(status).toBe(200);
    const generators = generatorResource.array().parse(body.generators);
    expect(generators.map(({ name }) => name)).toEqual([...GENERATOR_NAMES, 'stepped']);
    expect(generators.at(-1)).toEqual({
      name: 'stepped',
      default: true,
      state: 'ready',
      capabilities: {
        image_to_image: false,
        controlnet_depth: true,
        inpainting: false,
        loras: false,
        negative_prompts: true,
        seeds: true,
        batch: true,
        previews: false,
      },
      fields: ['negative_prompt', 'depth_map'],
      required: [],
      models: [],
      model_fields: {},
      sizes: { default: { width: 64, height: 64 }, min: 64, max: 4096, multiple_of: 8 },
      concurrency: 1,
      queued: 1,
      running: 1,
    });
    expect((await app.call('GET', '/v1/generators/stepped')).body).toEqual(generators.at(-1));
  });

  it('knows nothing of a generator that there is not', async () => {
    const app = await startApp();
    for (const name of ['none', '__proto__', 'constructor', '%00'])
      expectProblem(await send(`${app.url}/v1/generators/${name}`), { status: 404, code: 'not_found' }, name);
  });
});
