import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { problemsOf, workingDirectory } from './helper.ts';

const load = (argv: string[]) => loadConfig({ argv, env: {}, cwd: workingDirectory() });
const problems = (argv: string[]) => problemsOf(() => load(argv));

describe('the host', () => {
  test.each(['127.0.0.1', '127.8.8.8', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost', 'LOCALHOST'])(
    'may be %s, which only this machine reaches',
    (host) => {
      expect(load(['--http.host', host]).warnings).toEqual([]);
    },
  );

  test.each(['0.0.0.0', '::', '192.168.0.10', '127.0.0.1.example.org', 'gallery.local'])(
    'may not be %s, because there are no keys',
    (host) => {
      expect(problems(['--http.host', host])).toEqual([
        `[http] host = "${host}": anybody who reaches this address could render, for there are no API keys yet; ` +
          'use 127.0.0.1, or put a proxy that checks its callers in front of 127.0.0.1, or allow everybody with ' +
          '[auth] anonymous = true (flag --http.host)',
      ]);
    },
  );

  test('may be any with [auth] anonymous = true, with a warning', () => {
    const { config, warnings } = load(['--http.host', '0.0.0.0', '--auth.anonymous']);
    expect(config.http.host).toBe('0.0.0.0');
    expect(warnings).toEqual([
      '[http] host = "0.0.0.0" with [auth] anonymous = true: anybody who reaches this address can render',
    ]);
  });

  test('is not accused when [auth] anonymous cannot be read', () => {
    expect(problems(['--http.host', '0.0.0.0', '--auth.anonymous=perhaps'])).toEqual([
      '[auth] anonymous = "perhaps": expected true or false (flag --auth.anonymous)',
    ]);
  });
});

describe('the allowed hosts', () => {
  test('are names', () => {
    const { config } = load(['--http.allowed_hosts', 'display.local, image-server']);
    expect(config.http.allowed_hosts).toEqual(['display.local', 'image-server']);
  });

  test.each(['display.local:8080', 'http://display.local', 'display.local/', 'a b'])('may not be %s', (name) => {
    expect(problems(['--http.allowed_hosts', name])).toEqual([
      `[http] allowed_hosts = ["${name}"]: expected host names without scheme and port (flag --http.allowed_hosts)`,
    ]);
  });
});

describe('the addresses of the bus', () => {
  test.each(['tcp://127.0.0.1:1', 'tcp://core.local:65535', 'tcp://[::1]:5564', 'ipc:///run/core.sock'])(
    'may be %s',
    (address) => {
      expect(load(['--bus.requests', address, '--bus.results', address]).config.bus.results).toBe(address);
    },
  );

  test.each(['127.0.0.1:5564', 'http://127.0.0.1:5564', 'tcp://127.0.0.1', 'tcp://:5564', 'tcp://a:b', 'ipc://', 'x'])(
    'may not be %s',
    (address) => {
      expect(problems(['--bus.requests', address])).toEqual([
        `[bus] requests = "${address}": expected tcp://HOST:PORT or ipc://PATH, such as "tcp://127.0.0.1:5564" ` +
          '(flag --bus.requests)',
      ]);
    },
  );

  test.each([0, 65_536, 99_999_999])('may not have the port %d', (port) => {
    expect(problems(['--bus.results', `tcp://127.0.0.1:${port}`])).toEqual([
      `[bus] results = "tcp://127.0.0.1:${port}": expected a port from 1 to 65535 (flag --bus.results)`,
    ]);
  });

  test('may not name localhost, which may be IPv6', () => {
    expect(problems(['--bus.requests', 'tcp://localhost:5564'])).toEqual([
      '[bus] requests = "tcp://localhost:5564": use tcp://127.0.0.1:5564: localhost may mean the IPv6 address ::1, ' +
        'and the core listens on IPv4 only (flag --bus.requests)',
    ]);
  });

  test('may not be a wildcard, because the server connects', () => {
    expect(problems(['--bus.requests', 'tcp://*:5564'])).toEqual([
      '[bus] requests = "tcp://*:5564": expected the address of the core, which this server connects to; ' +
        '* is for binding (flag --bus.requests)',
    ]);
  });
});

describe('the mock', () => {
  test('needs a folder for existing images', () => {
    expect(problems(['--mock.style', 'existing'])).toEqual([
      '[mock] style = "existing": this style needs [mock] images_dir, the folder of its images (flag --mock.style)',
    ]);
    expect(problems(['--mock.style', 'existing', '--mock.images_dir', 'media'])).toEqual([]);
  });

  test('is told once when its folder is wrong', () => {
    expect(problems(['--mock.style', 'existing', '--mock.images_dir='])).toEqual([
      '[mock] images_dir = "": expected text that is not empty, such as "media/images" (flag --mock.images_dir)',
    ]);
  });
});

describe('the address of a provider', () => {
  test.each(['fal.base_url', 'fal.upload_url'])('%s is https, since a key goes there, or on this machine', (path) => {
    expect(problems([`--${path}`, 'http://queue.example.org'])).toEqual([
      expect.stringContaining('expected https, since the key goes there; http is for this machine'),
    ]);
    for (const url of ['https://queue.example.org', 'http://127.0.0.1:4000', 'http://[::1]:4000']) {
      expect(problems([`--${path}`, url])).toEqual([]);
    }
  });
});
