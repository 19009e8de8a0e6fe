import OpenAI, { toFile } from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { plainPng } from '../generators/png.ts';
import { OPENAI_KEY, startOpenAIServer } from './openai-server.ts';

/** OpenAI's own client at the fake: what both understand is what OpenAI documents. */
async function connect() {
  const server = await startOpenAIServer();
  onTestFinished(() => server.close());
  const client = new OpenAI({ apiKey: OPENAI_KEY, baseURL: server.baseUrl, maxRetries: 0 });
  return { server, client };
}

const request = {
  model: 'gpt-image-2.5-flare',
  prompt: 'a hill',
  size: '1024x1024',
  quality: 'low',
  n: 1,
} as const;

it('draws for OpenAI’s own client', async () => {
  const { client } = await connect();
  const { data = [], usage } = await client.images.generate({ ...request, n: 2 });
  expect(data.map(({ b64_json = '' }) => Buffer.from(b64_json, 'base64').subarray(1, 4).toString())).toEqual([
    'PNG',
    'PNG',
  ]);
  expect(usage).toMatchObject({ input_tokens: 2, output_tokens: 544, total_tokens: 546 });
});

it('streams to it', async () => {
  const { client } = await connect();
  const stream = await client.images.generate({ ...request, stream: true, partial_images: 2 });
  const types: string[] = [];
  for await (const event of stream) types.push(event.type);
  expect(types).toEqual([
    'image_generation.partial_image',
    'image_generation.partial_image',
    'image_generation.completed',
  ]);
});

it('edits for it', async () => {
  const { server, client } = await connect();
  const bytes = plainPng([9, 9, 9]);
  const image = await toFile(bytes, 'image.png', { type: 'image/png' });
  const mask = await toFile(bytes, 'mask.png', { type: 'image/png' });
  const { data = [] } = await client.images.edit({ ...request, image, mask });
  expect([data.length, server.taken[0]?.mask]).toEqual([1, bytes.length]);
});

it('refuses as OpenAI does', async () => {
  const { server, client } = await connect();
  const stranger = new OpenAI({ apiKey: 'sk-other', baseURL: server.baseUrl, maxRetries: 0 });
  await expect(stranger.images.generate(request)).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  await expect(client.images.generate({ ...request, size: '256x256' })).rejects.toMatchObject({
    status: 400,
    param: 'size',
  });
  expect(server.taken).toEqual([]);
});
