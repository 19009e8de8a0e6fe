import { expect, test } from 'vitest';
import { createNewest } from '../../src/store/newest.ts';

/** Steps that end when the test says so, and what has begun. */
function steps() {
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const step = (name: string) => async () => {
    begun.push(name);
    const end = Promise.withResolvers<void>();
    ends.set(name, end);
    await end.promise;
  };
  return { begun, step, end: (name: string) => ends.get(name) };
}

test('what waits behind a running step is done once, by the newest', async () => {
  const { begun, step, end } = steps();
  const run = createNewest();
  const first = run('link', step('a'));
  const others = ['b', 'c', 'd'].map((name) => run('link', step(name)));
  end('a')?.resolve();
  await first;
  await expect.poll(() => begun).toEqual(['a', 'd']);
  end('d')?.resolve();
  await Promise.all(others);
  expect(begun).toEqual(['a', 'd']);
});

test('a step that fails fails for those that it stands for, and for nobody behind it', async () => {
  const { begun, step, end } = steps();
  const run = createNewest();
  const outcomes = Promise.allSettled(['a', 'b', 'c'].map((name) => run('link', step(name))));
  end('a')?.reject(new Error('first'));
  await expect.poll(() => begun).toEqual(['a', 'c']);
  const later = run('link', step('d'));
  end('c')?.reject(new Error('second'));
  expect((await outcomes).map((one) => (one.status === 'rejected' ? one.reason.message : 'done'))).toEqual([
    'first',
    'second',
    'second',
  ]);
  await expect.poll(() => begun).toEqual(['a', 'c', 'd']);
  end('d')?.resolve();
  await later;
});

test('steps of different names do not wait for each other', async () => {
  const { begun, step, end } = steps();
  const run = createNewest();
  const both = [run('png', step('a')), run('jpeg', step('b'))];
  expect(begun).toEqual(['a', 'b']);
  for (const name of begun) end(name)?.resolve();
  await Promise.all(both);
});
