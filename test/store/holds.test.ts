import { stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import { createHolds } from '../../src/store/holds.ts';
import { temporaryDir } from '../helper.ts';

const BYTES = Buffer.from('an image');

it('a held file stays until every hold on it is released', async () => {
  const store = await createFileImageStore({ dir: await temporaryDir() });
  const [one, other] = [store.hold(), store.hold()];
  const { imageId } = await store.save(BYTES, 'png', one);
  await store.save(BYTES, 'png', other);
  await store.save(BYTES, 'png', other);
  const file = { kind: 'image', imageId, format: 'png' } as const;
  expect(await store.remove(file)).toBe(false);
  one.release();
  one.release();
  expect(await store.remove(file)).toBe(false);
  other.release();
  expect(await store.remove(file)).toBe(true);
  await expect(stat(store.pathOf(imageId, 'png'))).rejects.toThrow('ENOENT');
  expect(await store.remove(file)).toBe(true);
});

it('an input is removed apart from an image of the same bytes', async () => {
  const store = await createFileImageStore({ dir: await temporaryDir() });
  const { imageId } = await store.saveInput(BYTES);
  await store.save(BYTES, 'png');
  expect(await store.remove({ kind: 'input', imageId })).toBe(true);
  await expect(store.readInput(imageId)).rejects.toMatchObject({ code: 'image_not_found' });
  const { stream, size } = await store.open(imageId, 'png');
  expect(size).toBe(BYTES.length);
  // Open already: removing it takes nothing from the reader.
  expect(await store.remove({ kind: 'image', imageId, format: 'png' })).toBe(true);
  expect(await buffer(stream)).toEqual(BYTES);
});

it('what is being removed is gone before it is saved anew', async () => {
  const holds = createHolds();
  const removal = Promise.withResolvers<boolean>();
  const removed = holds.remove('/a', () => removal.promise);
  const order: string[] = [];
  const hold = holds.open();
  const kept = holds.keep('/a', hold).then(() => order.push('kept'));
  void removed.then(() => order.push('removed'));
  await Promise.resolve();
  expect(order).toEqual([]);
  removal.resolve(true);
  await Promise.all([removed, kept]);
  expect(order.sort()).toEqual(['kept', 'removed']);
  expect(await holds.remove('/a', async () => true)).toBe(false);
});

it('a file that is wanted is not removed, and nobody saves it while that is asked', async () => {
  const store = await createFileImageStore({ dir: await temporaryDir() });
  const { imageId } = await store.save(BYTES, 'png');
  const file = { kind: 'image', imageId, format: 'png' } as const;
  expect(await store.remove(file, async () => true)).toBe(false);
  expect(await store.has(imageId, 'png')).toBe(true);
  const answer = Promise.withResolvers<boolean>();
  const removed = store.remove(file, () => answer.promise);
  const saved = store.save(BYTES, 'png', store.hold());
  answer.resolve(false);
  expect(await removed).toBe(true);
  await saved;
  expect(await store.has(imageId, 'png')).toBe(true);
});

it('a removal that fails says so, and saving goes on', async () => {
  const holds = createHolds();
  const removed = holds.remove('/a', () => Promise.reject(new Error('disk')));
  const kept = holds.keep('/a', undefined);
  await expect(removed).rejects.toThrow('disk');
  await kept;
  expect(await holds.remove('/a', async () => true)).toBe(true);
});
