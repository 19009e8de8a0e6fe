import { expect, it, onTestFinished } from 'vitest';
import { Secret } from '../src/config/secrets.ts';
import { startFalServer } from './fakes/fal-server.ts';
import { failing } from './fakes/scripted-upstream.ts';
import { startApp } from './helper.ts';

const REQUEST = { prompt: 'a delta', width: 256, height: 256, seed: 7, steps: 4 };

/** A server whose provider, a fake, has three models, of which two stand in for the first in their order. */
async function start() {
  const fal = await startFalServer();
  onTestFinished(() => fal.close());
  const app = await startApp({
    config: {
      fal: {
        ...{ base_url: fal.url, upload_url: fal.url, poll_s: 0.05 },
        ...{ endpoint: 'studio/first', endpoints: ['studio/second', 'studio/third'] },
      },
      generator: { strategy: 'fal', fallback: ['fal/studio/second', 'fal/studio/third'], retries: 0 },
    },
    secrets: { fal: { key: new Secret(fal.key) } },
  });
  const endpoints = () => [...fal.jobs.values()].map(({ endpoint }) => endpoint);
  return { fal, app, endpoints };
}

it('two models of one generator stand in for a third one, each in its turn and once', async () => {
  const { fal, app, endpoints } = await start();
  const client = await app.listen();
  fal.plan('submit', failing(500), failing(500));
  const { body } = await app.render(REQUEST);
  expect(body).toMatchObject({
    ...{ status: 'succeeded', generator: 'fal', fallback_from: 'fal', cached: false },
    attempts: [
      { generator: 'fal', outcome: 'failed', error: { code: 'upstream_failed' } },
      { generator: 'fal', outcome: 'failed', error: { code: 'upstream_failed' } },
      { generator: 'fal', outcome: 'succeeded' },
    ],
    images: [{ width: 256, height: 256, seed: 7 }],
  });
  expect(fal.count('submit')).toBe(3);
  expect(endpoints()).toEqual(['studio/third']);
  expect(await client.until(({ type }) => type === 'ImageReady')).toMatchObject({ fallback_from: 'fal' });
  const ended = client.messages.filter(({ type }) => type === 'AttemptEnded');
  expect(ended.map(({ fallback_to }) => fallback_to)).toEqual(['fal', 'fal', undefined]);
  const metrics = String((await app.call('GET', '/metrics')).body);
  expect(metrics).toContain('image_server_fallbacks_total{from="fal",to="fal"} 2');

  // What the third one made answers those who ask for it, and nobody else.
  const again = await app.render({ ...REQUEST, generator: 'fal/studio/third' });
  expect(again.body).toMatchObject({ status: 'succeeded', cached: true });
  const first = await app.render(REQUEST);
  expect(first.body).toMatchObject({ status: 'succeeded', cached: false });
  expect(first.body.fallback_from).toBeUndefined();
  expect(endpoints()).toEqual(['studio/third', 'studio/first']);
});

it('a render fails with the error of the last model when all of them have failed', async () => {
  const { fal, app } = await start();
  fal.plan('submit', failing(500), failing(500), failing(422));
  const { body } = await app.render(REQUEST);
  expect(body).toMatchObject({ status: 'failed', error: { code: 'upstream_failed', retryable: false }, images: [] });
  expect(body.attempts).toHaveLength(3);
  expect(fal.count('submit')).toBe(3);
});

it('a model that was asked for by its name has the others stand in for it as well', async () => {
  const { fal, app, endpoints } = await start();
  fal.plan('submit', failing(500));
  const { body } = await app.render({ ...REQUEST, generator: 'fal/studio/second' });
  expect(body).toMatchObject({ status: 'succeeded', fallback_from: 'fal' });
  expect(endpoints()).toEqual(['studio/third']);
});
