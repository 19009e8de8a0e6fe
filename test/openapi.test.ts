import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { startApp } from './helper.ts';

const written = join(import.meta.dirname, '..', 'openapi', 'openapi.json');

describe('the OpenAPI document', () => {
  it('in openapi/ is the one that the server gives', async () => {
    const app = await startApp();
    const { status, body } = await app.call('GET', '/openapi.json');
    expect(status).toBe(200);
    expect(body).toEqual(JSON.parse(await readFile(written, 'utf8')));
  });

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(JSON.parse(await readFile(written, 'utf8')));
    expect(result).toMatchObject({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('has every route that the server answers', async () => {
    const document = JSON.parse(await readFile(written, 'utf8'));
    expect(Object.keys(document.paths).sort()).toEqual([
      '/health',
      '/health/live',
      '/health/ready',
      '/metrics',
      '/v1/events',
      '/v1/generators',
      '/v1/generators/{name}',
      '/v1/images/{image_id}',
      '/v1/queue/clear',
      '/v1/queue/pause',
      '/v1/queue/resume',
      '/v1/renders',
      '/v1/renders/batch',
      '/v1/renders/{id}',
      '/v1/renders/{id}/cancel',
    ]);
  });

  it('refers to nothing that is not in it, and holds nothing that nobody refers to', async () => {
    const text = await readFile(written, 'utf8');
    const names = Object.keys(JSON.parse(text).components.schemas);
    const used = new Set([...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name));
    expect([...used].sort()).toEqual([...names].sort());
  });

  it('can be tried at /docs, whose files all come from the server', async () => {
    const app = await startApp();
    const page = await app.call('GET', '/docs');
    expect(page.status).toBe(200);
    expect(String(page.body)).toContain('swagger-ui');
    expect(String(page.body)).not.toMatch(/(src|href)="https?:/);
  });
});
