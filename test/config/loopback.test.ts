import { expect, test } from 'vitest';
import { isLoopback } from '../../src/config/loopback.ts';

test.each(['127.0.0.1', '127.8.8.8', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost', 'LocalHost'])(
  'only this machine reaches %s',
  (host) => {
    expect(isLoopback(host)).toBe(true);
  },
);

test.each(['0.0.0.0', '::', '192.168.0.10', '128.0.0.1', '127.0.0.1.example.org', 'gallery.local', ''])(
  'others may reach %j',
  (host) => {
    expect(isLoopback(host)).toBe(false);
  },
);
