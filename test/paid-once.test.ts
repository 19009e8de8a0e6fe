import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../src/config/secrets.ts';
import { OPENAI_KEY, openaiError, startOpenAIServer } from './fakes/openai-server.ts';
import { RUNWARE_KEY, startRunwareServer } from './fakes/runware-server.ts';
import { cutShort, hang } from './fakes/scripted-upstream.ts';
import { solidPng } from './fakes/solid-png.ts';
import type { TestApp } from './helper.ts';
import { startApp, temporaryDir } from './helper.ts';

/** A server whose providers are fakes. */
async function start() {
  const openai = await startOpenAIServer();
  const runware = await startRunwareServer();
  onTestFinished(async () => {
    await Promise.all([openai.close(), runware.close()]);
  });
  const dir = await temporaryDir();
  const launch = (): Promise<TestApp> =>
    startApp({
      dir,
      config: {
        openai: { base_url: openai.baseUrl, prices: { gpt: { image_output: 30 } } },
        runware: { base_url: runware.baseUrl, poll_s: 0.05 },
        generator: { fallback: ['mock'] },
      },
      secrets: { openai: { key: new Secret(OPENAI_KEY) }, runware: { key: new Secret(RUNWARE_KEY) } },
    });
  return { openai, runware, dir, launch };
}

const small = { prompt: 'a hill', generator: 'runware', width: 128, height: 128 };

describe('work at a provider', () => {
  it('is drawn, paid once, and leaves no key anywhere', async () => {
    const { openai, dir, launch } = await start();
    const app = await launch();
    const { body } = await app.render({ prompt: 'a hill', generator: 'openai', width: 1024, height: 1024 });
    expect(body).toMatchObject({ status: 'succeeded', cost_usd: 0.03168, images: [{ width: 1024, height: 1024 }] });
    expect(openai.submits).toBe(1);

    const metrics = await app.call('GET', '/metrics');
    expect(String(metrics.body)).toContain('upstream_requests_total{generator="openai",outcome="ok"} 1');
    openai.plan('generate', openaiError(401, 'invalid_api_key'));
    const refused = await app.render({ prompt: 'a hill', generator: 'openai', fallback: false });
    expect(refused.body.error.code).toBe('upstream_auth');
    await app.stop();

    const told = [String(metrics.body), JSON.stringify([body, refused.body, app.lines])];
    const names = await readdir(dir, { recursive: true, withFileTypes: true });
    const files = await Promise.all(
      names.filter((one) => one.isFile()).map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
    );
    for (const text of [...told, ...files]) expect(text.includes('never-in-a-log')).toBe(false);
  });

  it('whose image is cut off fails, and is not paid again', async () => {
    const { runware, launch } = await start();
    const app = await launch();
    runware.plan('file', cutShort(await solidPng({ width: 128, height: 128 }, 1)));
    const { body } = await app.render({ ...small, fallback: false });
    expect(body).toMatchObject({ status: 'failed', error: { code: 'invalid_output', retryable: false } });
    expect(runware.submits).toBe(1);
  });

  it('that is refused for its content is drawn by no fallback', async () => {
    const { openai, launch } = await start();
    const app = await launch();
    openai.plan('generate', openaiError(400, 'moderation_blocked'));
    const { body } = await app.render({ prompt: 'a hill', generator: 'openai' });
    expect(body).toMatchObject({ status: 'failed', error: { code: 'content_rejected' }, images: [] });
    expect(openai.submits).toBe(1);
  });

  it('says that it may go on when it is cancelled', async () => {
    const { openai, launch } = await start();
    const app = await launch();
    openai.plan('generate', hang());
    await app.call('POST', '/v1/renders', { prompt: 'a hill', generator: 'openai', request_id: 'one' });
    await openai.received('generate', 1);
    const { body } = await app.call('POST', '/v1/renders/one/cancel', {});
    expect(body).toMatchObject({ outcome: 'detached', render: { status: 'cancelled' } });
  });

  it('that was cancelled, but goes on, is counted when its cost becomes known, also after a restart', async () => {
    const { runware, launch } = await start();
    const first = await launch();
    runware.always('look', hang());
    await first.call('POST', '/v1/renders', { ...small, request_id: 'one' });
    await runware.received('look', 1);
    const { body: cancel } = await first.call('POST', '/v1/renders/one/cancel', {});
    expect(cancel).toMatchObject({ outcome: 'detached', render: { attempts: [{ outcome: 'detached' }] } });
    expect(cancel.render.cost_usd).toBeUndefined();
    await first.stop();

    runware.always('look');
    const second = await launch();
    const events = await second.listen();
    events.socket.send(JSON.stringify({ type: 'subscribe', since: 0 }));
    const known = await events.until(({ type }) => type === 'CostKnown');
    expect(known).toMatchObject({ request_id: 'one', generator: 'runware', attempt: 1, cost_usd: 0.0013 });
    expect((await second.call('GET', '/v1/renders/one')).body).toMatchObject({ status: 'cancelled', cost_usd: 0.0013 });
    const metrics = String((await second.call('GET', '/metrics')).body);
    expect(metrics).toContain('image_server_upstream_cost_usd_total{generator="runware"} 0.0013');
    expect(runware.submits).toBe(1);
    await second.stop();

    const looks = runware.count('look');
    const third = await launch();
    await third.stop();
    expect(runware.count('look')).toBe(looks);
  });

  it('whose job waits for the next start says that it may go on when it is cancelled, and is counted', async () => {
    const { runware, launch } = await start();
    const first = await launch();
    runware.always('look', hang());
    await first.call('POST', '/v1/renders', { ...small, request_id: 'one' });
    await runware.received('look', 1);
    await first.call('POST', '/v1/queue/pause', {});
    await first.stop();

    runware.always('look');
    const second = await launch();
    const events = await second.listen();
    const { body } = await second.call('POST', '/v1/renders/one/cancel', {});
    expect(body).toMatchObject({ outcome: 'detached', render: { status: 'cancelled' } });
    expect(await events.until(({ type }) => type === 'CostKnown')).toMatchObject({ cost_usd: 0.0013 });
  }, 20_000);

  it('is collected after a restart, not submitted again', async () => {
    const { runware, launch } = await start();
    const first = await launch();
    runware.always('look', hang());
    await first.call('POST', '/v1/renders', { ...small, request_id: 'one' });
    await runware.received('look', 1);
    await first.stop();

    runware.always('look');
    const second = await launch();
    const { body } = await second.call('GET', '/v1/renders/one', undefined, { prefer: 'wait=30' });
    expect(body).toMatchObject({ status: 'succeeded', attempts: [{ outcome: 'released' }, { outcome: 'succeeded' }] });
    expect(runware.submits).toBe(1);
  });
});
