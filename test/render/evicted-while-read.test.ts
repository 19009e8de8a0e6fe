import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { expect, it } from 'vitest';
import { startStepped } from './service-fixtures.ts';

const READERS = 50;
const SIDE = 1024;

/** An image that no compression makes small: it does not fit into what lies between the server and its readers. */
function noise() {
  const data = new Uint8Array(SIDE * SIDE * 3);
  let state = 1;
  for (let at = 0; at < data.length; at += 1) {
    state = (state * 48_271) % 2_147_483_647;
    data[at] = state & 0xff;
  }
  return { seed: 1, kind: 'raw', pixels: { data, width: SIDE, height: SIDE, channels: 3 } } as const;
}

it('an image that is given up while many read it slowly comes to each of them whole', async () => {
  const { app, generator, clock } = await startStepped({
    config: { max_cache_size_gb: 1 / 2 ** 20, cache: { pin_s: 60 } },
  });
  const asked = app.render({ prompt: 'a delta', width: SIDE, height: SIDE });
  (await generator.call(1)).finish([noise()]);
  const [{ image_id: id, uri, bytes }] = (await asked).body.images;
  expect(bytes).toBeGreaterThan(2 ** 21);

  const readers = await Promise.all(
    Array.from({ length: READERS }, async () => {
      const [response] = await once(get(`${app.url}/v1/images/${id}`, { agent: false }), 'response');
      expect(response.statusCode).toBe(200);
      return response;
    }),
  );
  while (existsSync(uri.slice('file://'.length))) {
    await clock.advance(60_000);
    await app.call('GET', '/health/live');
  }
  expect((await app.call('GET', `/v1/images/${id}`)).status).toBe(410);
  const lengths = await Promise.all(
    readers.map(async (response) => {
      let length = 0;
      for await (const chunk of response) length += chunk.length;
      return length;
    }),
  );
  expect(lengths).toEqual(Array.from({ length: READERS }, () => bytes));
});
