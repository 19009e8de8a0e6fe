import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { localSdxlSection } from '../../../src/config/local-sdxl-schema.ts';
import { locateComponents } from '../../../src/generators/local-sdxl/model/components.ts';
import { readModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import type { Preset } from '../../../src/generators/local-sdxl/model/recipe.ts';
import { PRESETS, recipeOf } from '../../../src/generators/local-sdxl/model/recipe.ts';
import { readVariants } from '../../../src/generators/local-sdxl/model/variants.ts';
import { createScheduler } from '../../../src/generators/local-sdxl/schedulers/index.ts';
import { tinyModel } from './tiny-model.ts';

async function recipeOfTiny(name: string, preset: Preset | 'auto', steps?: number) {
  const folder = await readModelFolder(await locateComponents([await tinyModel(name)]), 'model_dir');
  return recipeOf(folder, preset, steps);
}

/** A tiny model whose `scheduler_config.json` is another. */
async function modelWithScheduler(config: Record<string, unknown>): Promise<string> {
  const folder = await tinyModel('tiny-sdxl');
  const path = join(folder, 'scheduler/scheduler_config.json');
  await rm(path);
  await writeFile(path, JSON.stringify(config));
  return folder;
}

async function readConfigured(settings: Record<string, unknown>) {
  return await readVariants(localSdxlSection.parse(settings));
}

describe('the recipe of a model', () => {
  it.each([
    ['tiny-sdxl', 'base', 'EulerDiscreteScheduler'],
    ['tiny-sdxl-turbo', 'turbo', 'EulerAncestralDiscreteScheduler'],
    ['tiny-sdxl-lcm', 'lcm', 'LCMScheduler'],
    ['tiny-sdxl-dpm', 'base', 'DPMSolverMultistepScheduler'],
  ])('of %s is recognised as %s', async (name, preset, scheduler) => {
    const recipe = await recipeOfTiny(name, 'auto');
    expect([recipe.preset, recipe.scheduler._class_name]).toEqual([preset, scheduler]);
  });

  it.each(PRESETS)('can run when it is chosen as %s', async (preset) => {
    const { scheduler, steps } = await recipeOfTiny('tiny-sdxl', preset);
    expect(createScheduler(scheduler, { steps, size: 16 }).timesteps).toHaveLength(steps);
  });

  it('is another for the models of a single step', async () => {
    const lightning = await recipeOfTiny('tiny-sdxl', 'lightning', 1);
    expect(lightning.scheduler).toMatchObject({ prediction_type: 'sample', timestep_spacing: 'trailing' });
    const { scheduler, steps } = await recipeOfTiny('tiny-sdxl', 'hyper', 1);
    expect([...createScheduler(scheduler, { steps, size: 16 }).timesteps]).toEqual([800]);
  });
});

describe('a model folder in the configuration', () => {
  it.each([
    [{ _class_name: 'PNDMScheduler' }, 'no sampler PNDMScheduler'],
    [{ _class_name: 'EulerDiscreteScheduler', use_beta_sigmas: true }, 'use_beta_sigmas is not supported'],
    [{ _class_name: 'UniPCMultistepScheduler', solver_order: 9 }, 'solver_order'],
  ])('is refused at the start for the sampler %j', async (config, message) => {
    const model_dir = await modelWithScheduler(config);
    await expect(readConfigured({ model_dir })).rejects.toThrow(message);
  });

  it('with such a sampler can be used with a preset that brings its own', async () => {
    const model_dir = await modelWithScheduler({ _class_name: 'PNDMScheduler' });
    const { base } = await readConfigured({ model_dir, preset: 'turbo' });
    expect(base.recipe.scheduler._class_name).toBe('EulerAncestralDiscreteScheduler');
  });
});
