import { expect, test } from 'vitest';
import type { ConfigKey } from '../../src/config/keys.ts';
import { badValue, expectation } from '../../src/config/problems.ts';

function keyNamed(name: string): ConfigKey {
  return { section: 'auth', name, path: `auth.${name}`, shape: { type: 'string' } };
}

test.each(['api_key', 'keys', 'bus_token', 'client_secret', 'password'])('the value of %s is never shown', (name) => {
  const { message } = badValue(keyNamed(name), 'hunter2', 'expected text', 'default');
  expect(message).toBe(`[auth] ${name}: expected text (default)`);
});

test('the name of a file that holds a secret is shown', () => {
  const { message } = badValue(keyNamed('key_file'), '/run/key', 'expected text', 'default');
  expect(message).toContain('"/run/key"');
});

test('a long value is cut, and stays on its line', () => {
  const { message } = badValue(keyNamed('name'), `a\nb${'c'.repeat(1000)}`, 'expected text', 'default');
  expect(message).toMatch(/^\[auth\] name = "a\\nbc+…: expected text \(default\)$/);
  expect(message.length).toBeLessThan(200);
});

test.each([
  [{ type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }, 'a whole number'],
  [{ type: 'number', maximum: 5 }, 'a number of at most 5'],
  [{ type: 'number', minimum: 0, maximum: 1 }, 'a number from 0 to 1'],
  [{ type: 'number', exclusiveMinimum: 0 }, 'a number above 0'],
  [{ type: 'string' }, 'text'],
  [{ type: 'object' }, 'a table'],
  [{ type: 'array' }, 'a list'],
  [{ type: 'string', expects: 'a host name' }, 'a host name'],
  [{ type: 'array', items: { type: 'string', expects: 'a host name' } }, 'a list, each item a host name'],
] as const)('%j is expected as %s', (shape, words) => {
  expect(expectation(shape)).toBe(words);
});
