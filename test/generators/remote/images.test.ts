import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createImageReader } from '../../../src/generators/remote/images.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { flood } from '../../fakes/scripted-upstream.ts';
import { plainPng } from '../png.ts';
import { acmeHttp, endless, startPlain } from './fixtures.ts';

const PNG = plainPng([1, 2, 3]);
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(20)]);
const WEBP = Buffer.from('RIFF\0\0\0\0WEBPVP8 and so on', 'latin1');

function reader(baseUrl = 'https://acme.example') {
  return createImageReader({ http: acmeHttp(), clock: systemClock, provider: 'Acme', baseUrl, hosts: [] });
}

describe('an image that an answer names', () => {
  it('is left at its first bytes when they are none of an image', async () => {
    const sent = Promise.withResolvers<number>();
    const upstream = await startPlain((response, request) => {
      const { socket } = response;
      response.once('close', () => sent.resolve(socket?.bytesWritten ?? 0));
      flood(2 ** 30)(response, request);
    });
    const fetched = reader(upstream.url).fetch(`${upstream.url}/a.png`, endless);
    await expect(fetched).rejects.toMatchObject({ code: 'invalid_output', retryable: false });
    // No more than what the system holds between the two.
    expect(await sent.promise).toBeLessThan(16 * 2 ** 20);
  });

  it('is left at 32 MiB when it begins like one', async () => {
    const upstream = await startPlain(flood(2 ** 30, 'image/png', PNG));
    const fetched = reader(upstream.url).fetch(`${upstream.url}/a.png`, endless);
    await expect(fetched).rejects.toMatchObject({ code: 'invalid_output', retryable: false });
    expect(upstream.requests).toHaveLength(1);
  });

  it('may come a few bytes at a time', async () => {
    const upstream = await startPlain((response) => {
      response.writeHead(200, { 'content-type': 'image/webp' });
      Readable.from([...WEBP].map((byte) => Buffer.of(byte))).pipe(response);
    });
    const fetched = await reader(upstream.url).fetch(`${upstream.url}/a.webp`, endless);
    expect(Buffer.from(fetched)).toEqual(WEBP);
  });
});

describe('an image in an answer', () => {
  it.each([
    ['PNG', PNG],
    ['JPEG', JPEG],
    ['WebP', WEBP],
  ])('may be %s, as base64 or a data URL', (_name, bytes) => {
    const base64 = bytes.toString('base64');
    for (const text of [base64, `data:image/any;base64,${base64}`]) {
      expect(Buffer.from(reader().decode(text))).toEqual(bytes);
    }
  });

  it.each([
    ['empty', ''],
    ['an empty data URL', 'data:image/png;base64,'],
    ['a page', Buffer.from('<html>').toString('base64')],
    ['a RIFF that is no WebP', Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1').toString('base64')],
    ['no base64', `${PNG.toString('base64').slice(0, 40)} \n`],
    ['an address', 'https://acme.example/a.png'],
    ['larger than 32 MiB', 'A'.repeat(45_000_000)],
  ])('may not be %s', (_name, text) => {
    expect(() => reader().decode(text)).toThrow(expect.objectContaining({ code: 'invalid_output', retryable: false }));
  });
});
