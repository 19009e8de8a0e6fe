import { expect, it } from 'vitest';
import { startStepped } from '../render/service-fixtures.ts';

it('a caller who leaves while it waits takes nothing of the render along', async () => {
  const { app, generator, renders, watch } = await startStepped();
  const leaving = new AbortController();
  const answer = fetch(`${app.url}/v1/renders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify({ request_id: 'left', prompt: 'a delta' }),
    signal: leaving.signal,
  }).then(
    () => 'answered',
    () => 'left',
  );
  const step = await generator.call(1);
  leaving.abort();
  expect(await answer).toBe('left');
  // Whoever comes later waits for the same one.
  const again = app.call('POST', '/v1/renders', { request_id: 'left', prompt: 'a delta' }, { prefer: 'wait=60' });
  const { id } = await renders.get('left', 'anonymous');
  expect(step.hooks.signal.aborted).toBe(false);
  step.finish();
  await watch.until('ImageReady', id);
  expect((await again).body).toMatchObject({ id, status: 'succeeded' });
  expect(generator.calls).toHaveLength(1);
});
