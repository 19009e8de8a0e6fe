import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { imageFormat } from '../src/messages/fields.ts';
import { startApp } from './helper.ts';

const SIGNATURES = {
  png: Buffer.from('89504e47', 'hex'),
  jpeg: Buffer.from('ffd8ff', 'hex'),
  webp: Buffer.from('RIFF'),
  avif: Buffer.from('ftypavif'),
};

describe('output formats', () => {
  it.each(imageFormat.options)('renders %s, and says so in the result, the event and the answer', async (format) => {
    const app = await startApp();
    const client = await app.listen();
    const { body } = await app.render({ prompt: 'x', width: 96, height: 64, output_format: format, quality: 50 });
    expect(body.images).toMatchObject([{ format, width: 96, height: 64 }]);
    const event = await client.until(({ type }) => type === 'ImageReady');
    expect(event).toMatchObject({ format, width: 96, height: 64 });

    const { headers, body: bytes } = await app.call('GET', `/v1/images/${body.images[0].image_id}`);
    expect(headers.get('content-type')).toBe(`image/${format}`);
    expect(bytes.subarray(0, 12).includes(SIGNATURES[format])).toBe(true);
    expect(bytes).toHaveLength(body.images[0].bytes);
    expect(body.images[0].uri).toMatch(format === 'jpeg' ? /\.jpg$/ : new RegExp(`\\.${format}$`));
    if (format !== 'avif') expect(await sharp(bytes).metadata()).toMatchObject({ width: 96, height: 64 });
  });

  it.each(['jpeg', 'webp', 'avif'] as const)('%s is smaller at a lower quality', async (format) => {
    const app = await startApp();
    const size = async (quality: number) => {
      const { body } = await app.render({
        prompt: 'x',
        seed: 3,
        output_format: format,
        quality,
        width: 256,
        height: 256,
      });
      return body.images[0].bytes;
    };
    expect(await size(20)).toBeLessThan(await size(95));
  });
});
