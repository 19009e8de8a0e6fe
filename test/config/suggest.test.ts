import { expect, test } from 'vitest';
import { nearestKey, nearestSection } from '../../src/config/suggest.ts';

test.each([
  ['http', 'prot', 'http.port'],
  [undefined, 'log_levle', 'log_level'],
  [undefined, 'port', 'http.port'],
  ['http', 'concurrency', 'mock.concurrency'],
  ['moc', 'timeout', 'mock.timeout'],
  ['htpp', 'prot', 'http.port'],
  ['queue', 'weather', undefined],
])('for [%s] %s the nearest key is %s', (section, name, path) => {
  expect(nearestKey(section, name)?.path).toBe(path);
});

test.each([
  ['https', 'http'],
  ['generators', 'generator'],
  ['audio_synthesis', undefined],
])('for [%s] the nearest section is %s', (name, section) => {
  expect(nearestSection(name)).toBe(section);
});
