import { describe, expect, it } from 'vitest';
import { eventStream, sse } from '../../fakes/openai-server.ts';
import { json } from '../../fakes/scripted-upstream.ts';
import { solidPng } from '../../fakes/solid-png.ts';
import { plainPng } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import { startOpenAI } from './fixtures.ts';

const square = { width: 1024, height: 1024 };
const watched = { reactions: { wantsPreview: () => true } };
const image = (await solidPng(square, 1)).toString('base64');
const completed = sse('image_generation.completed', { b64_json: image });
const partial = (b64_json: string) => sse('image_generation.partial_image', { b64_json, partial_image_index: 0 });

describe('a streamed answer', () => {
  it('shows its partial images, small, and gives the last as the image', async () => {
    const { server, generator } = await startOpenAI({ config: { partial_images: 3 } });
    const run = startRun(generator, makeWork(square), watched);
    expect(await run.images).toHaveLength(1);
    expect(server.taken).toMatchObject([{ stream: true, partial_images: 3 }]);
    expect(run.previews.map(({ pixels }) => [pixels.width, pixels.height])).toEqual(Array(3).fill([512, 512]));
    expect(run.costs).toEqual([expect.closeTo((5 * 5 + 1056 * 30) / 1e6, 9)]);
    expect(generator.outcomes).toEqual(['ok']);
  });

  it('comes for edits as well', async () => {
    const { server, generator } = await startOpenAI();
    const run = startRun(generator, makeWork({ ...square, referenceImage: inputImage(plainPng([9, 9, 9])) }), watched);
    expect(await run.images).toHaveLength(1);
    expect(server.taken).toMatchObject([{ stream: 'true', partial_images: 2 }]);
    expect(run.previews).toHaveLength(2);
  });

  it('is not asked for when nobody watches, when there are several images, or when the operator wants none', async () => {
    const { server, generator } = await startOpenAI();
    await startRun(generator, makeWork(square)).images;
    await startRun(generator, makeWork({ ...square, numImages: 2 }), watched).images;
    const frugal = await startOpenAI({ config: { partial_images: 0 } });
    await startRun(frugal.generator, makeWork(square), watched).images;
    for (const taken of [...server.taken, ...frugal.server.taken]) expect(taken).not.toHaveProperty('stream');
    expect(frugal.generator.capabilities.previews).toBe(false);
  });

  it('may hold events that are not known, and previews that cannot be read', async () => {
    const { server, generator } = await startOpenAI();
    const broken = partial(Buffer.from('no image').toString('base64'));
    server.plan('generate', eventStream([': hello\n\n', sse('image_generation.thinking', {}), broken, completed]));
    const run = startRun(generator, makeWork(square), watched);
    expect(await run.images).toHaveLength(1);
    expect(run.previews).toEqual([]);
  });

  it('is over with its final image, although the server keeps it open', async () => {
    const { server, generator } = await startOpenAI();
    server.plan('generate', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(completed);
    });
    expect(await startRun(generator, makeWork(square), watched).images).toHaveLength(1);
    expect(generator.outcomes).toEqual(['ok']);
  });

  it.each([
    ['before any image', []],
    ['after previews', [partial(image), partial(image)]],
    ['within the final image', [completed.slice(0, 500)]],
  ])('that ends %s leaves the outcome unknown', async (_when, events) => {
    const { server, generator } = await startOpenAI();
    server.plan('generate', eventStream(events));
    const run = startRun(generator, makeWork(square), watched);
    await expect(run.images).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect([server.submits, run.costs]).toEqual([1, []]);
  });

  it.each([
    ['server_error', { code: 'upstream_failed', retryable: true }],
    ['moderation_blocked', { code: 'content_rejected', retryable: false }],
  ])('that ends with the error %s fails as it says', async (code, failure) => {
    const { server, generator } = await startOpenAI();
    const error = { type: 'image_generation_error', code, message: 'UPSTREAM-TEXT' };
    server.plan('generate', eventStream([partial(image), sse('error', { error })]));
    const run = startRun(generator, makeWork(square), watched);
    await expect(run.images).rejects.toMatchObject(failure);
    await expect(run.images).rejects.not.toThrow(/UPSTREAM-TEXT/);
  });

  it('that is not in the known form is no image', async () => {
    const { server, generator } = await startOpenAI();
    server.plan('generate', eventStream([sse('image_generation.completed', { image: 7 })]));
    await expect(startRun(generator, makeWork(square), watched).images).rejects.toMatchObject({
      code: 'invalid_output',
      retryable: false,
    });
  });
});

describe('the cost of an answer', () => {
  it('is that of its tokens, by kind', async () => {
    const { generator } = await startOpenAI();
    const run = startRun(generator, makeWork({ ...square, referenceImage: inputImage(plainPng([9, 9, 9])) }));
    await run.images;
    expect(run.costs).toEqual([expect.closeTo((5 * 5 + 320 * 8 + 1056 * 30) / 1e6, 9)]);
  });

  it('is that of its images when the server counts no tokens', async () => {
    const prices = { compatible: { per_image: 0.02 } };
    const { generator } = await startOpenAI({
      config: { model: 'compatible', prices },
      server: { usage: false },
    });
    const run = startRun(generator, makeWork({ width: 64, height: 64, numImages: 3 }));
    await run.images;
    expect(run.costs).toEqual([expect.closeTo(0.06, 9)]);
  });

  it('is unsaid when the model has no price', async () => {
    const { generator } = await startOpenAI({ config: { prices: {} } });
    const run = startRun(generator, makeWork(square));
    await run.images;
    expect(run.costs).toEqual([]);
  });

  it('is that of the model’s family for a snapshot', async () => {
    const { generator } = await startOpenAI({ config: { model: 'gpt-image-1.5' } });
    const run = startRun(generator, makeWork(square));
    await run.images;
    expect(run.costs).toEqual([expect.closeTo((5 * 5 + 1056 * 32) / 1e6, 9)]);
  });
});

describe('a compatible server', () => {
  it('may answer with links to itself', async () => {
    const { server, generator } = await startOpenAI({ server: { links: true } });
    expect(await startRun(generator, makeWork({ ...square, numImages: 2 })).images).toHaveLength(2);
    expect(server.count('file')).toBe(2);
    const files = server.requests.filter(({ route }) => route === 'file');
    for (const { headers } of files) expect(headers).not.toHaveProperty('authorization');
  });

  it('may count tokens in a way of its own, or answer with fields that are null', async () => {
    const { server, generator } = await startOpenAI();
    const data = [{ b64_json: image, url: null, revised_prompt: null }];
    server.plan('generate', json({ data, usage: { input_tokens: 'many' } }), json({ data, usage: null }));
    for (const run of [startRun(generator, makeWork(square)), startRun(generator, makeWork(square))]) {
      expect(await run.images).toHaveLength(1);
      expect(run.costs).toEqual([]);
    }
  });

  it('may answer at once although it was asked to stream', async () => {
    const { server, generator } = await startOpenAI();
    server.plan('generate', (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ data: [{ b64_json: image }] }));
    });
    const run = startRun(generator, makeWork(square), watched);
    expect(await run.images).toHaveLength(1);
    expect([run.previews, run.costs]).toEqual([[], []]);
  });
});
