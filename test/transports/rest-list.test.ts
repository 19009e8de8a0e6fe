import { describe, expect, it } from 'vitest';
import { renderResource } from '../../src/messages/render.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';

const list = (app: TestApp, query = '') => app.call('GET', `/v1/renders${query}`);

/** Names of the renders in an answer. */
async function named(app: TestApp, query: string): Promise<string[]> {
  const { status, body } = await list(app, query);
  expect(status).toBe(200);
  return body.renders.map(({ request_id }: { request_id: string }) => request_id);
}

async function submit(app: TestApp, request_id: string, changes: object = {}): Promise<void> {
  const { status } = await app.call('POST', '/v1/renders', { request_id, prompt: `a ${request_id} delta`, ...changes });
  expect(status).toBe(202);
}

/** A server with one render of each kind: `other` is the generator of some. */
async function startWithRenders(): Promise<TestApp> {
  const generators = ['stepped', 'other'].map((name) => new SteppedGenerator(name));
  const [stepped, other] = generators;
  const app = await startApp({
    config: { http: { drain_s: 0 }, generator: { strategy: 'stepped' }, bus: { project: 'base' } },
    overrides: { generators: new Map(generators.map((each) => [each.name, each])) },
  });
  await submit(app, 'done', { era: 'modern', biome: 'coast' });
  (await stepped?.call(1))?.finish();
  await app.call('GET', '/v1/renders/done', undefined, { prefer: 'wait=60' });
  await submit(app, 'failed', { era: 'modern', biome: 'desert' });
  (await stepped?.call(2))?.fail(new Error('no'));
  await app.call('GET', '/v1/renders/failed', undefined, { prefer: 'wait=60' });
  await submit(app, 'running', { era: 'ancient', generator: 'other' });
  await other?.call(1);
  await submit(app, 'queued', { biome: 'coast', generator: 'other' });
  await submit(app, 'cancelled', { generator: 'other' });
  await app.call('POST', '/v1/renders/cancelled/cancel');
  return app;
}

describe('GET /v1/renders', () => {
  it('lists renders as they are, newest first, by any filters', async () => {
    const app = await startWithRenders();
    const { body } = await list(app);
    expect(body.next_cursor).toBeUndefined();
    for (const render of body.renders) {
      expect(renderResource.parse(render)).toEqual((await app.call('GET', `/v1/renders/${render.id}`)).body);
    }
    const wanted = {
      '': ['cancelled', 'queued', 'running', 'failed', 'done'],
      '?status=succeeded': ['done'],
      '?status=failed': ['failed'],
      '?status=cancelled': ['cancelled'],
      '?status=running': ['running'],
      '?status=queued': ['queued'],
      '?generator=stepped': ['failed', 'done'],
      '?era=modern': ['failed', 'done'],
      '?biome=coast': ['queued', 'done'],
      '?era=modern&biome=coast&status=succeeded': ['done'],
      '?q=delta&generator=other': ['cancelled', 'queued', 'running'],
      '?q=fai': ['failed'],
      '?q=delta%20%22don*': ['done'],
      '?q=%F0%9F%8C%8B': [],
      '?batch_id=none': [],
      '?generator=none': [],
    };
    for (const [query, found] of Object.entries(wanted))
      expect([query, await named(app, query)]).toEqual([query, found]);
  });

  it('goes on where the page before ended, whatever has come in meanwhile', async () => {
    const app = await startWithRenders();
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; page < 3; page += 1) {
      const { body } = await list(app, `?limit=2${cursor}`);
      seen.push(...body.renders.map(({ request_id }: { request_id: string }) => request_id));
      expect(body.renders).toHaveLength(page < 2 ? 2 : 1);
      cursor = `&cursor=${body.next_cursor}`;
      expect(body.next_cursor === undefined).toBe(page === 2);
      await submit(app, `later${page}`, { generator: 'other' });
    }
    expect(seen).toEqual(['cancelled', 'queued', 'running', 'failed', 'done']);
  });

  it('names what is wrong with a query', async () => {
    const app = await startApp();
    const wrong = {
      '?status=done': 'status',
      '?limit=0': 'limit',
      '?limit=201': 'limit',
      '?limit=1.5': 'limit',
      '?limit=many': 'limit',
      '?limit=': 'limit',
      '?cursor=': 'cursor',
      '?cursor=bm90aGluZw': 'cursor',
      '?cursor=%00': 'cursor',
      '?q=': 'q',
      [`?q=${'a'.repeat(1001)}`]: 'q',
      '?era=a&era=b': 'era',
      '?colour=red': 'colour',
      '?owner=bob': 'owner',
    };
    for (const [query, path] of Object.entries(wrong)) {
      const { status, body } = await list(app, query);
      expect([query, status, body.code]).toEqual([query, 422, 'invalid_request']);
      expect([query, body.errors.map((error: { path: string }) => error.path)]).toEqual([query, [path]]);
    }
    expect((await list(app, '?limit=200')).status).toBe(200);
  });
});
