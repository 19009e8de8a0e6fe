import { expect, it } from 'vitest';
import { newId } from '../../src/render/ids.ts';

it('new ids are UUIDs of version 7, each another one', () => {
  const ids = Array.from({ length: 2000 }, newId);
  expect(new Set(ids).size).toBe(2000);
  const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  expect(ids.filter((id) => !shape.test(id))).toEqual([]);
});

it('ids that are made later come later in their order', async () => {
  const first = newId();
  // Their first part counts milliseconds.
  await expect.poll(() => newId().slice(0, 13) > first.slice(0, 13), { interval: 1 }).toBe(true);
});
