import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { generatorConformance } from '../conformance.ts';
import { plainPng } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import { localSdxl } from './generator.ts';
import { startInProcess } from './in-process.ts';
import { tinyModel } from './tiny-model.ts';

generatorConformance('LocalSDXLGenerator', {
  create: async (clock) => {
    const model_dir = await tinyModel('tiny-sdxl-controlnet-merged');
    const styles = { photographic: model_dir };
    const loras = [{ path: 'drone', scale: 0.8, model_dir }];
    return localSdxl({ config: { model_dir, styles, loras }, clock, startChild: startInProcess });
  },
});

describe('a style', () => {
  async function withStyles(broken: boolean) {
    const model_dir = await tinyModel('tiny-sdxl');
    const turbo = await tinyModel('tiny-sdxl-turbo');
    const graph = join(turbo, 'unet', 'model.onnx');
    if (broken) {
      await rm(graph);
      await writeFile(graph, 'no graph');
    }
    const generator = localSdxl({ config: { model_dir, styles: { fast: turbo } }, startChild: startInProcess });
    onTestFinished(() => generator.close());
    await generator.start();
    return generator;
  }

  it('renders with its own model and recipe, and the next one without with the usual ones', async () => {
    const generator = await withStyles(false);
    expect(generator.capabilities.fields).toContain('style');
    const [usual, fast] = [startRun(generator, makeWork()), startRun(generator, makeWork({ style: 'fast' }))];
    const again = startRun(generator, makeWork());
    await expect(again.images).resolves.toEqual(await usual.images);
    await fast.images;
    expect([usual, fast, again].map(({ progress }) => progress.length)).toEqual([30, 4, 30]);
  });

  it('whose model is broken fails for good, and takes nothing from the others', async () => {
    const generator = await withStyles(true);
    const fast = startRun(generator, makeWork({ style: 'fast' }));
    await expect(fast.images).rejects.toMatchObject({ code: 'generator_unavailable', retryable: false });
    await expect(startRun(generator, makeWork({ steps: 1 })).images).resolves.toHaveLength(1);
    expect(generator.health()).toEqual({ state: 'ready' });
  });

  it('that is not listed is refused', async () => {
    const generator = await withStyles(false);
    const run = startRun(generator, makeWork({ style: 'oil' }));
    await expect(run.images).rejects.toMatchObject({ code: 'unsupported_field' });
  });
});

describe('a model without ControlNet', () => {
  it('says so once it is loaded, and refuses depth maps that came before', async () => {
    const model_dir = await tinyModel('tiny-sdxl');
    const generator = localSdxl({ config: { model_dir }, startChild: startInProcess });
    onTestFinished(() => generator.close());
    expect(generator.capabilities.fields).toContain('depth_map');
    await generator.start();
    expect(generator.capabilities.fields).not.toContain('depth_map');
    const run = startRun(generator, makeWork({ depthMap: inputImage(plainPng([9, 9, 9])) }));
    await expect(run.images).rejects.toMatchObject({ code: 'unsupported_field' });
  });
});
