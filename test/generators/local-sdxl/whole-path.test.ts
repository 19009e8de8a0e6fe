import { describe, expect, it } from 'vitest';
import { startApp } from '../../helper.ts';
import { png } from '../png.ts';
import { tinyModel } from './tiny-model.ts';

/** A bowl, in grey, as a data URL. */
function bowl(): string {
  const depth = png({ width: 90, height: 70 }, (x, y) => {
    const grey = Math.min(255, Math.round(Math.hypot(x - 45, y - 35) * 5));
    return [grey, grey, grey];
  });
  return `data:image/png;base64,${depth.toString('base64')}`;
}

async function startWith(local_sdxl: object) {
  const app = await startApp({
    config: { local_sdxl: { threads: 1, ...local_sdxl }, generator: { strategy: 'sdxl' } },
  });
  const events = await app.listen();
  await events.until(() => true);
  return { app, events };
}

async function untilReady(app: Awaited<ReturnType<typeof startApp>>): Promise<void> {
  for (;;) {
    const { body } = await app.call('GET', '/v1/generators/local_sdxl');
    if (body.state === 'ready') return;
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
  }
}

describe('the server with a local model', () => {
  it('answers while the model loads, renders what the depth map shows, and tells of its steps', async () => {
    const { app, events } = await startWith({ model_dir: await tinyModel('tiny-sdxl-controlnet-merged') });
    const request = { prompt: 'a crater', seed: 7, steps: 3, width: 100, height: 64 };
    const first = app.render({ ...request, depth_map: { image_data: bowl() } });
    const { body: generator } = await app.call('GET', '/v1/generators/local_sdxl');
    expect(generator).toMatchObject({ default: true, state: 'starting', sizes: { multiple_of: 32 } });

    const { body: withDepth } = await first;
    expect(withDepth).toMatchObject({ status: 'succeeded', generator: 'local_sdxl' });
    const [image] = withDepth.images;
    expect(image).toMatchObject({ width: 96, height: 64, seed: 7 });
    const steps = events.messages.filter(({ type }) => type === 'RenderProgress');
    expect(steps.map(({ step, steps: of, fraction }) => [step, of, fraction])).toEqual([
      [1, 3, 1 / 3],
      [2, 3, 2 / 3],
      [3, 3, 1],
    ]);
    expect(steps.at(-1)).toMatchObject({ eta_ms: 0 });
    expect(Object.keys(steps[0])).not.toContain('etaMs');

    const { body: without } = await app.render(request);
    expect(without.images[0].image_id).not.toBe(image.image_id);
    const metrics = String((await app.call('GET', '/metrics')).body);
    expect(metrics).toMatch(/image_server_sdxl_step_duration_seconds_count 6/);
  });

  it('stops it with itself, in the middle of a render', async () => {
    const { app } = await startWith({ model_dir: await tinyModel('tiny-sdxl') });
    await untilReady(app);
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a', steps: 1000, width: 256, height: 256 });
    await expect.poll(async () => (await app.call('GET', `/v1/renders/${body.id}`)).body.status).toBe('running');
    await app.stop();
    expect(app.lines.at(-1)).toMatchObject({ msg: 'the server has stopped' });
  });

  it('ends when its default generator has no model that can be used', async () => {
    const { app } = await startWith({ model_dir: '/nowhere' });
    await expect.poll(() => app.fatal.map(({ code }) => code)).toEqual(['config_invalid']);
  });

  it('goes on without one that is not the default', async () => {
    const app = await startApp({ config: { local_sdxl: { model_dir: '/nowhere' } } });
    await expect
      .poll(async () => (await app.call('GET', '/v1/generators/local_sdxl')).body)
      .toMatchObject({ state: 'disabled', reason: expect.stringContaining('no complete SDXL export') });
    expect(app.fatal).toEqual([]);
    const { body } = await app.render({ prompt: 'a', width: 64, height: 64 });
    expect(body.status).toBe('succeeded');
  });
});
