import { describe, expect, it } from 'vitest';
import { createImageReader } from '../../../src/generators/remote/images.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { plainPng } from '../png.ts';
import { acmeHttp } from './fixtures.ts';

const PNG = plainPng([1, 2, 3]);
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(20)]);
const WEBP = Buffer.from('RIFF\0\0\0\0WEBPVP8 and so on', 'latin1');

function reader() {
  const baseUrl = 'https://acme.example';
  return createImageReader({ http: acmeHttp(), clock: systemClock, provider: 'Acme', baseUrl, hosts: [] });
}

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
