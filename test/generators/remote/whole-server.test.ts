import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { generatorResource } from '../../../src/messages/render.ts';
import { startFalServer } from '../../fakes/fal-server.ts';
import { startModelServer } from '../../fakes/model-server.ts';
import { failing, hang, json } from '../../fakes/scripted-upstream.ts';
import { startApp, temporaryDir } from '../../helper.ts';
import type { Launched } from '../../launch.ts';
import { launch } from '../../launch.ts';
import { plainPng } from '../png.ts';
import { startMute } from './fixtures.ts';

const CANARY = 'canary-id:CANARY-SECRET';

async function startWithFal(base = 'fal') {
  const fal = await startFalServer({ key: CANARY });
  onTestFinished(() => fal.close());
  const dir = await temporaryDir();
  const args = ['--generator.strategy', base, '--fal.poll_s', '0.05', '--log_level', 'debug', '--http.drain_s', '0.1'];
  /** `more`: further flags; `url`: where it takes fal.ai to be. */
  const serve = async (more: readonly string[] = [], url = fal.url) => {
    const flags = ['--http.port', '0', '--bus.enabled', 'false', '--fal.base_url', url, ...args, ...more];
    const server = launch(dir, ['serve', ...flags], { FAL_KEY: CANARY });
    const { url: own } = await server.line('the server is ready');
    const call = async (path: string, init: RequestInit = {}) => await fetch(`${String(own)}${path}`, init);
    const post = async (body: object) =>
      await call('/v1/renders', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ width: 256, height: 256, ...body }),
      });
    const wait = async (id: string) =>
      (await call(`/v1/renders/${id}`, { headers: { prefer: 'wait=30' } })).json() as Promise<Record<string, unknown>>;
    return { ...server, call, post, wait };
  };
  return { fal, dir, serve };
}

/** Stops a server in good order, which writes down what it knows, and starts it again. */
async function restart<S extends Pick<Launched, 'child' | 'ended'>>(server: S, serve: () => Promise<S>): Promise<S> {
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  return await serve();
}

describe('a server with fal.ai', () => {
  it('goes on with the same job after it was killed, and has submitted once', async () => {
    const { fal, serve } = await startWithFal();
    fal.hold();
    const first = await serve();
    await first.post({ prompt: 'a hill', request_id: 'killed' });
    await fal.received('status', 2);
    first.child.kill('SIGKILL');
    await first.ended;

    const second = await serve();
    fal.letGo();
    expect(await second.wait('killed')).toMatchObject({ status: 'succeeded', generator: 'fal' });
    expect([fal.count('submit'), fal.count('cancel')]).toEqual([1, 0]);
  });

  it.each<[string, NodeJS.Signals]>([
    ['was killed', 'SIGKILL'],
    ['was stopped', 'SIGTERM'],
  ])('does not submit again what it was submitting when it %s, unless that is allowed', async (_what, signal) => {
    for (const resubmits of [false, true]) {
      const { fal, serve } = await startWithFal();
      fal.plan('submit', hang());
      const first = await serve();
      await first.post({ prompt: 'a hill', request_id: 'unheard' });
      await fal.received('submit', 1);
      first.child.kill(signal);
      await first.ended;

      const second = await serve(['--fal.resubmit_unknown', String(resubmits)]);
      // A stop hands the work back as the process ends, or leaves that to the start.
      const attempts = (outcome: string) => [{ outcome: expect.stringMatching(/crashed|released/) }, { outcome }];
      expect(await second.wait('unheard')).toMatchObject(
        resubmits
          ? { status: 'succeeded', attempts: attempts('succeeded') }
          : { status: 'failed', attempts: attempts('unknown'), error: { code: 'outcome_unknown' } },
      );
      expect([fal.count('submit'), fal.count('cancel')]).toEqual([resubmits ? 2 : 1, 0]);
    }
  });

  it('submits after a restart what had not left when it was stopped', async () => {
    const { fal, serve } = await startWithFal();
    const mute = await startMute();
    const first = await serve([], mute.url);
    await first.post({ prompt: 'a hill', request_id: 'early' });
    await mute.accepted;
    const second = await restart(first, serve);
    expect(await second.wait('early')).toMatchObject({
      ...{ status: 'succeeded', attempts: [{ outcome: 'released' }, { outcome: 'succeeded' }] },
    });
    expect(fal.count('submit')).toBe(1);
  });

  it('counts a job that was left at fal.ai before it was killed, once', async () => {
    const { fal, serve } = await startWithFal();
    fal.hold();
    const first = await serve();
    await first.post({ prompt: 'a hill', request_id: 'left' });
    await fal.received('status', 1);
    fal.always('cancel', failing(503));
    const cancelled = await first.call('/v1/renders/left/cancel', { method: 'POST' });
    expect(await cancelled.json()).toMatchObject({ outcome: 'detached' });
    first.child.kill('SIGKILL');
    await first.ended;

    fal.letGo();
    for (const job of fal.jobs.values()) job.status = 'COMPLETED';
    const second = await serve();
    await second.line('cost became known');
    const third = await restart(second, serve);
    expect(await third.wait('left')).toMatchObject({ status: 'cancelled', cost_usd: 0.003 });
    expect([fal.count('submit'), fal.count('result'), fal.count('file')]).toEqual([1, 1, 0]);
  });

  it('shows its key nowhere, whatever fails', async () => {
    const { fal, dir, serve } = await startWithFal();
    const server = await serve();
    fal.plan('submit', failing(401));
    await server.post({ prompt: 'a hill', request_id: 'a' });
    const failed = JSON.stringify(await server.wait('a'));
    await server.post({ prompt: 'a hill', request_id: 'b' });
    const well = JSON.stringify(await server.wait('b'));
    const texts = [failed, well, JSON.stringify(server.lines), server.stderr()];
    for (const path of ['/health', '/metrics', '/v1/generators', '/v1/renders']) {
      texts.push(await (await server.call(path)).text());
    }
    for (const name of await readdir(join(dir, 'data'))) {
      texts.push((await readFile(join(dir, 'data', name))).toString('latin1'));
    }
    for (const text of texts) expect(text).not.toContain('CANARY');
    expect(failed).toContain('upstream_auth');
    expect(texts.join()).toMatch(/image_server_upstream_requests_total\{generator="fal",outcome="auth"\} 1/);
    expect(texts.join()).toMatch(/image_server_upstream_duration_seconds_count\{generator="fal"\} \d/);
  });

  it('ends with 78 when its default generator has no key, and says what to set', async () => {
    const dir = await temporaryDir();
    const server = launch(dir, [
      'serve',
      '--http.port',
      '0',
      '--bus.enabled',
      'false',
      '--generator.strategy',
      'falai',
    ]);
    expect(await server.ended).toBe(78);
    expect(server.stderr()).toContain('set FAL_KEY, or [fal] key_file');
  });
});

describe('a server whose default is another generator', () => {
  it('lists those that lack something as disabled, refuses their work, and is well', async () => {
    const app = await startApp();
    const { body } = await app.call('GET', '/v1/generators/fal');
    expect(body).toMatchObject({ state: 'disabled', reason: 'It has no key: set FAL_KEY, or [fal] key_file.' });
    const refused = await app.call('POST', '/v1/renders', { prompt: 'a', generator: 'fal_comfy' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'generator_unavailable' } });
    expect((await app.call('GET', '/health')).body.status).toBe('ok');
  });

  it('knows models after a slash, and the aliases of Experimance', async () => {
    const app = await startApp();
    const refused = await app.call('POST', '/v1/renders', { prompt: 'a', generator: 'fal/none' });
    expect(refused).toMatchObject({ status: 422, body: { code: 'unknown_generator' } });
    expect(refused.body.detail).toContain('fal/fal_comfy');
    const noModels = await app.call('POST', '/v1/renders', { prompt: 'a', generator: 'mock/none' });
    expect(noModels).toMatchObject({ status: 422, body: { code: 'unknown_generator' } });
  });

  it('says at the door which input a preset cannot do without', async () => {
    const { serve } = await startWithFal('mock');
    const server = await serve();
    const answer = await server.post({ prompt: 'a', generator: 'falai_lightning_i2i' });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({
      code: 'invalid_request',
      errors: [{ path: 'reference_image', message: 'is required by the generator fal' }],
    });
    const shown = generatorResource.parse(await (await server.call('/v1/generators/fal')).json());
    expect(shown.required).toEqual([]);
    expect(shown.model_fields.falai_lightning_i2i?.required).toEqual(['reference_image']);
    expect(shown.model_fields.falai_lightning_i2i?.fields).not.toContain('negative_prompt');
  });
});

describe('an image that only looks whole', () => {
  it('fails the render and is not kept', async () => {
    const model = await startModelServer();
    onTestFinished(() => model.close());
    const whole = plainPng([1, 2, 3], 256);
    const image_b64 = whole.subarray(0, whole.length - 40).toString('base64');
    model.plan('generate', json({ success: true, image_b64 }));
    const app = await startApp({ config: { vastai: { base_url: model.url }, generator: { strategy: 'vastai' } } });
    const kept = async () =>
      (await readdir(join(app.dir, 'images'), { recursive: true })).filter((name) => /\.\w+$/.test(name));

    const { body } = await app.render({ prompt: 'a', width: 256, height: 256 });
    expect(body).toMatchObject({ status: 'failed', images: [] });
    expect(await kept()).toEqual([]);
    await app.render({ prompt: 'a', width: 256, height: 256 });
    expect(await kept()).not.toEqual([]);
  });
});
