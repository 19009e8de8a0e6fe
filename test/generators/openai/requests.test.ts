import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createImages } from '../../../src/store/convert.ts';
import { OPENAI_KEY } from '../../fakes/openai-server.ts';
import { plainPng, png } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import { startOpenAI } from './fixtures.ts';

const images = createImages({ maxPixels: 2 ** 24, maxBytes: 2 ** 26 });
const square = { width: 1024, height: 1024 };

describe('a request to OpenAI', () => {
  it('asks for what the work asks for, with the key, as JSON', async () => {
    const { server, generator } = await startOpenAI();
    const run = startRun(generator, makeWork({ ...square, numImages: 3 }));
    await run.images;
    expect(server.taken).toEqual([
      {
        model: 'gpt-image-2.5-flare',
        prompt: 'a lighthouse in fog',
        size: '1024x1024',
        quality: 'medium',
        n: 3,
        output_format: 'png',
        moderation: 'auto',
      },
    ]);
    const [request] = server.requests;
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${OPENAI_KEY}`,
      'content-type': 'application/json',
      'x-client-request-id': run.remoteIds[0],
    });
  });

  it('has its id journalled before it leaves', async () => {
    const { server, generator } = await startOpenAI();
    const reactions = { onRemoteId: () => Promise.reject(new Error('disk full')) };
    await expect(startRun(generator, makeWork(square), { reactions }).images).rejects.toThrow('disk full');
    expect(server.submits).toBe(0);
  });

  it.each([
    [4, 'low'],
    [15, 'low'],
    [16, 'medium'],
    [35, 'medium'],
    [36, 'high'],
  ])('takes %i steps for the quality %s', async (steps, quality) => {
    const { server, generator } = await startOpenAI();
    await startRun(generator, makeWork({ ...square, steps })).images;
    expect(server.taken).toMatchObject([{ quality }]);
  });

  it('asks for the nearest size, and gives the image as it came', async () => {
    const { server, generator } = await startOpenAI({ config: { model: 'gpt-image-1.5' } });
    const [image] = await startRun(generator, makeWork({ width: 1536, height: 1536 })).images;
    expect(server.taken).toMatchObject([{ size: '1024x1024' }]);
    const bytes = image?.kind === 'encoded' ? image.bytes : Buffer.of();
    expect(await images.inspect(bytes)).toMatchObject({ format: 'png', ...square });
  });

  it('names the model that the work names, if the configuration has it', async () => {
    const { server, generator } = await startOpenAI({ config: { models: ['gpt-image-1-mini'] } });
    expect(generator.models.get('gpt-image-1-mini')?.sizes).toMatchObject({ min: 1024, max: 1536 });
    await startRun(generator, makeWork({ ...square, model: 'gpt-image-1-mini' })).images;
    await startRun(generator, makeWork({ ...square, model: 'gpt-image-9' })).images;
    expect(server.taken.map(({ model }) => model)).toEqual(['gpt-image-1-mini', 'gpt-image-2.5-flare']);
  });
});

describe('an edit at OpenAI', () => {
  it('sends the reference image as it is, with its type', async () => {
    const { server, generator } = await startOpenAI();
    const pixels = images.blank({ width: 300, height: 200 }, { r: 9, g: 9, b: 9 });
    const { bytes } = await images.encode({ kind: 'raw', pixels }, { format: 'webp', quality: 80 });
    await startRun(generator, makeWork({ ...square, numImages: 2, referenceImage: inputImage(bytes) })).images;
    expect(server.count('edit')).toBe(1);
    expect(server.taken).toMatchObject([{ n: 2, size: '1024x1024', image: bytes.length }]);
    expect(server.files[0]?.get('image')).toEqual(new Uint8Array(bytes));
  });

  it('brings the mask to the size of the image, transparent where ours is white', async () => {
    const { server, generator } = await startOpenAI();
    const mask = png({ width: 64, height: 64 }, (x) => (x < 32 ? [255, 255, 255] : [0, 0, 0]));
    const work = makeWork({ ...square, referenceImage: inputImage(plainPng([200, 0, 0])), mask: inputImage(mask) });
    await startRun(generator, work).images;
    const [files] = server.files;
    for (const name of ['image', 'mask']) {
      expect(await images.inspect(files?.get(name) ?? Buffer.of())).toMatchObject({ format: 'png', ...square });
    }
    const { data, info } = await sharp(files?.get('mask')).raw().toBuffer({ resolveWithObject: true });
    const alphaAt = (x: number) => data[(512 * info.width + x) * info.channels + 3];
    expect([info.channels, alphaAt(100), alphaAt(900)]).toEqual([4, 0, 255]);
  });

  it('is refused when there is a mask and nothing to mask', async () => {
    const { server, generator } = await startOpenAI();
    const run = startRun(generator, makeWork({ ...square, mask: inputImage(plainPng([255, 255, 255])) }));
    await expect(run.images).rejects.toMatchObject({ code: 'invalid_request', retryable: false });
    expect([server.submits, run.remoteIds]).toEqual([0, []]);
  });
});
