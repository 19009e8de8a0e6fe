import { expect, test } from 'vitest';
import { convertText } from '../../src/config/convert.ts';

test.each([
  ['true', true],
  ['YES', true],
  ['1', true],
  [' false ', false],
  ['no', false],
  ['0', false],
  ['on', 'on'],
  ['', ''],
])('the boolean %j is %j', (text, value) => {
  expect(convertText(text, { type: 'boolean' })).toBe(value);
});

test.each([
  ['8080', 8080],
  [' 2.5 ', 2.5],
  ['.5', 0.5],
  ['-1', -1],
  ['1e3', 1000],
  ['0x10', '0x10'],
  ['10 MB', '10 MB'],
  ['', ''],
])('the number %j is %j', (text, value) => {
  expect(convertText(text, { type: 'number' })).toBe(value);
});

test.each([
  ['a,b', ['a', 'b']],
  [' a , b, ', ['a', 'b']],
  ['["a,b", "c"]', ['a,b', 'c']],
  ['', []],
  ['[]', []],
  ['[a]', '[a]'],
])('the list %j is %j', (text, value) => {
  expect(convertText(text, { type: 'array', items: { type: 'string' } })).toEqual(value);
});

test('the items of a list are converted to their type', () => {
  expect(convertText('1,2', { type: 'array', items: { type: 'integer' } })).toEqual([1, 2]);
});

test('objects are JSON', () => {
  expect(convertText('{"/a": "/b"}', { type: 'object' })).toEqual({ '/a': '/b' });
  expect(convertText('/a=/b', { type: 'object' })).toBe('/a=/b');
});

test('text stays as it is', () => {
  expect(convertText(' 1 ', { type: 'string' })).toBe(' 1 ');
});
