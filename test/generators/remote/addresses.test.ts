import { describe, expect, it } from 'vitest';
import { checkAddress, isPublicAddress } from '../../../src/generators/remote/addresses.ts';
import { acmeHttp, endless } from './fixtures.ts';

const rules = { baseUrl: 'https://queue.acme.example', hosts: ['cdn.acme.example', '*.media.example'] };

describe('the address of an image', () => {
  it.each([
    'https://cdn.acme.example/a.png',
    'https://CDN.acme.example/a.png?x=1',
    'https://v3.media.example/a',
    'https://a.b.media.example/a',
  ])('may be %s, which must lead to the open internet', (text) => {
    expect(checkAddress(text, rules).publicOnly).toBe(true);
  });

  it('may be the configured server itself, wherever that is', () => {
    expect(checkAddress('https://queue.acme.example/x', rules).publicOnly).toBe(false);
    const local = { baseUrl: 'http://127.0.0.1:4000/v1', hosts: [] };
    expect(checkAddress('http://127.0.0.1:4000/a.png', local).publicOnly).toBe(false);
    expect(() => checkAddress('http://127.0.0.1:4001/a.png', local)).toThrow('may not be fetched from');
  });

  it.each([
    'http://cdn.acme.example/a.png',
    'https://cdn.acme.example:8443/a.png',
    'https://media.example/a',
    'https://evilmedia.example/a',
    'https://cdn.acme.example.evil.example/a',
    'https://user:pass@cdn.acme.example/a',
    'https://127.0.0.1/a',
    'https://[::1]/a',
    'https://0x7f.1/a',
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'ftp://cdn.acme.example/a',
    '//cdn.acme.example/a',
    'not a url',
    '',
  ])('may not be %s', (text) => {
    expect(() => checkAddress(text, rules)).toThrow(expect.objectContaining({ code: 'unsafe_result_url' }));
  });

  it('is looked up before anything connects: an allowed name may not lead to this machine', async () => {
    const request = { method: 'GET', url: 'https://localhost/a.png', signal: endless, publicOnly: true } as const;
    await expect(acmeHttp().exchange(request)).rejects.toMatchObject({ code: 'unsafe_result_url' });
  });
});

describe('the open internet', () => {
  it.each(['8.8.8.8', '1.1.1.1', '100.63.255.255', '172.32.0.1', '2606:4700::1111', '2a00:1450::1'])(
    'has %s',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '192.0.2.1',
    '198.18.0.1',
    '203.0.113.9',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
    'fe80::1',
    'fc00::1',
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '2002:7f00:1::',
    'localhost',
    '',
  ])('has not %s', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
