import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LocalSDXLGenerator } from '../../../src/generators/local-sdxl/local-sdxl-generator.ts';
import type { StartChild } from '../../../src/generators/local-sdxl/process/child-link.ts';
import { linkTo } from '../../../src/generators/local-sdxl/process/child-link.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';
import { localSdxl } from './generator.ts';
import { startInProcess } from './in-process.ts';
import { tinyModel } from './tiny-model.ts';

const main = join(import.meta.dirname, '../../../src/generators/local-sdxl/process/child.ts');

/** Starts real processes and keeps hold of them. */
function realChildren() {
  const children: ChildProcess[] = [];
  const startChild: StartChild = (listener) => {
    const child = fork(main, {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    children.push(child);
    return linkTo(child, listener);
  };
  return { children, startChild };
}

async function started(generator: LocalSDXLGenerator): Promise<LocalSDXLGenerator> {
  onTestFinished(() => generator.close());
  await generator.start();
  return generator;
}

const long = makeWork({ width: 256, height: 256, steps: 200 });

describe('the real process of the model', () => {
  it('renders what the pipeline renders here, while the event loop of the server turns', async () => {
    const model_dir = await tinyModel('tiny-sdxl');
    const apart = await started(localSdxl({ config: { model_dir } }));
    const here = await started(localSdxl({ config: { model_dir }, startChild: startInProcess }));
    const work = makeWork({ steps: 3, numImages: 2 });
    const expected = await startRun(here, work).images;

    let turns = 0;
    const turnsAt: number[] = [];
    const counting = setInterval(() => {
      turns += 1;
    }, 1);
    onTestFinished(() => clearInterval(counting));
    const run = startRun(
      apart,
      { ...work, width: 256, height: 256, steps: 6 },
      {
        reactions: { onProgress: () => turnsAt.push(turns) },
      },
    );
    await run.images;
    // Were it in this process, the loop could not turn during a step; the library runs for all of it.
    for (const [index, count] of turnsAt.slice(1).entries()) expect(count).toBeGreaterThan(turnsAt[index] ?? 0);
    expect(await startRun(apart, work).images).toEqual(expected);
  });

  it('fails its render as crashed when it is killed, and the next one renders', async () => {
    const { children, startChild } = realChildren();
    const states: string[] = [];
    const generator: LocalSDXLGenerator = localSdxl({
      config: { model_dir: await tinyModel('tiny-sdxl') },
      startChild,
      onHealth: () => states.push(generator.health().state),
    });
    await started(generator);
    const run = startRun(generator, long, { reactions: { onProgress: () => children[0]?.kill('SIGKILL') } });
    await expect(run.images).rejects.toMatchObject({ code: 'generator_crashed', retryable: true });
    expect(generator.health().state).toBe('starting');

    await expect(startRun(generator, makeWork({ steps: 1 })).images).resolves.toHaveLength(1);
    expect(children).toHaveLength(2);
    expect(generator.health()).toEqual({ state: 'ready' });
    expect(states.filter((state, index) => state !== states[index - 1])).toEqual([
      'starting',
      'ready',
      'starting',
      'degraded',
      'ready',
    ]);
  });

  it('stops within a step and goes on with the next work', async () => {
    const { children, startChild } = realChildren();
    const model_dir = await tinyModel('tiny-sdxl');
    const generator = await started(localSdxl({ config: { model_dir }, startChild }));
    const stop = new AbortController();
    const reason = new Error('nobody waits');
    const onProgress = ({ step }: { step: number }): void => {
      if (step === 2) stop.abort(reason);
    };
    const run = startRun(generator, long, { stop, reactions: { onProgress } });
    await expect(run.images).rejects.toBe(reason);
    expect(run.progress.at(-1)?.step).toBe(2);
    await expect(startRun(generator, makeWork({ steps: 1 })).images).resolves.toHaveLength(1);
    expect(children).toHaveLength(1);
  });

  it('outlives the signals that a terminal sends to all, and ends with its server', async () => {
    const { children, startChild } = realChildren();
    const model_dir = await tinyModel('tiny-sdxl');
    const generator = await started(localSdxl({ config: { model_dir }, startChild }));
    const [child] = children;
    if (child === undefined) throw new Error('no process was started');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    await expect(startRun(generator, makeWork({ steps: 1 })).images).resolves.toHaveLength(1);
    const ended = once(child, 'exit');
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  });
});

describe('a model that cannot be loaded', () => {
  it('ends the start with the graph that is to blame', async () => {
    const model_dir = await tinyModel('tiny-sdxl');
    const graph = join(model_dir, 'vae_decoder', 'model.onnx');
    await rm(graph);
    await writeFile(graph, 'no graph');
    const generator = localSdxl({ config: { model_dir }, startChild: startInProcess });
    await expect(generator.start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('vae_decoder/model.onnx cannot be loaded: it is damaged or cut off'),
    });
    expect(generator.health().state).toBe('disabled');
    await generator.close();
  });

  it('says which weights are missing', async () => {
    const model_dir = await tinyModel('tiny-sdxl-lcm');
    const { graph, weights } = { graph: join(model_dir, 'unet', 'model.onnx'), weights: 'model.onnx_data' };
    const copy = join(model_dir, 'copy.onnx');
    await copyFile(graph, copy);
    await rm(graph);
    await copyFile(copy, graph);
    await rm(join(model_dir, 'unet', weights));
    const generator = localSdxl({ config: { model_dir }, startChild: startInProcess });
    const message = expect.stringContaining('its weights, model.onnx_data, are missing or cut off');
    await expect(generator.start()).rejects.toMatchObject({ code: 'config_invalid', message });
    await generator.close();
  });

  it('only disables a generator that nobody needs by default', async () => {
    const generator = localSdxl({ config: { model_dir: '/nowhere' }, required: false });
    await expect(generator.start()).rejects.toMatchObject({ code: 'generator_unavailable' });
    expect(generator.health()).toMatchObject({ state: 'disabled', reason: expect.stringContaining('optimum-cli') });
    await generator.close();
  });

  it('says how to get what CUDA needs, or renders on the CPU when that is allowed', async () => {
    const model_dir = await tinyModel('tiny-sdxl');
    const strict = localSdxl({ config: { model_dir, device: 'cuda' } });
    await expect(strict.start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/CUDA 12.*device_fallback/),
    });
    await strict.close();

    const lenient = await started(localSdxl({ config: { model_dir, device: 'cuda', device_fallback: true } }));
    expect(lenient.health()).toEqual({
      state: 'degraded',
      reason: 'The GPU cannot be used; the CPU renders in its place.',
    });
    await expect(startRun(lenient, makeWork({ steps: 1 })).images).resolves.toHaveLength(1);
  });
});
