import { expect, test } from 'vitest';
import { createBusPaths } from '../../src/transports/bus-paths.ts';

const paths = createBusPaths({ '/srv/images/': '/mnt/wall', '/srv/images/new': '/mnt/new' });
const request = (uri: string) => ({ prompt: 'p', depth_map: { uri }, mask: { image_data: 'AAAA' } });

test('the longest beginning of a path is replaced, at the end of a folder, and nothing is encoded', () => {
  expect(paths.outward('file:///srv/images/a b%20é#?.jpg')).toBe('file:///mnt/wall/a b%20é#?.jpg');
  expect(paths.outward('file:///srv/images/new/a.jpg')).toBe('file:///mnt/new/a.jpg');
  expect(paths.outward('file:///srv/images-old/a.jpg')).toBe('file:///srv/images-old/a.jpg');
  expect(paths.outward('file:///other/a.jpg')).toBe('file:///other/a.jpg');
});

test('paths in requests are turned the other way', () => {
  expect(paths.inward(request('file:///mnt/wall/a%20b.png'))).toEqual(request('file:///srv/images/a%20b.png'));
  expect(paths.inward(request('/mnt/new/a.png'))).toEqual(request('/srv/images/new/a.png'));
  expect(paths.inward(request('http://host/mnt/new/a.png'))).toEqual(request('http://host/mnt/new/a.png'));
});

test('without a map nothing changes', () => {
  const none = createBusPaths({});
  expect(none.outward('file:///a')).toBe('file:///a');
  expect(none.inward(request('/a'))).toEqual(request('/a'));
});
