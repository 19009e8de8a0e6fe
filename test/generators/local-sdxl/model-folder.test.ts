import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { locateComponents } from '../../../src/generators/local-sdxl/model/components.ts';
import type { ModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import { readModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import { physicalCores } from '../../../src/generators/local-sdxl/model/physical-cores.ts';
import { recipeOf } from '../../../src/generators/local-sdxl/model/recipe.ts';
import { revisionOf } from '../../../src/generators/local-sdxl/model/revision.ts';
import { readVariants } from '../../../src/generators/local-sdxl/model/variants.ts';
import { temporaryDir } from '../../helper.ts';
import { tinyModel } from './tiny-model.ts';

async function read(...folders: [string, ...string[]]): Promise<ModelFolder> {
  return await readModelFolder(await locateComponents(folders), '[local_sdxl] model_dir');
}

/** Takes the place of a link to a fixture. */
async function replace(path: string, content: string): Promise<void> {
  await rm(path);
  await writeFile(path, content);
}

describe('an SDXL export', () => {
  it('says what its graphs accept', async () => {
    const model = await read(await tinyModel('tiny-sdxl'));
    expect(model).toMatchObject({
      multipleOf: 32,
      nativeSide: 64,
      forceZeros: true,
      takesGuidance: false,
      latents: { factor: 8, scaling: 0.13025 },
    });
    expect(Object.keys(model.graphs)).toEqual(['text_encoder', 'text_encoder_2', 'unet', 'vae_decoder', 'vae_encoder']);
  });

  it('may hold a bare -Infinity in its scheduler’s configuration', async () => {
    const { scheduler } = await read(await tinyModel('tiny-sdxl-dpm'));
    expect(scheduler._class_name).toBe('DPMSolverMultistepScheduler');
  });

  it('that lacks something is refused with everything that is missing and the command that makes it', async () => {
    const folder = await tinyModel('tiny-sdxl');
    await rm(join(folder, 'unet', 'model.onnx'));
    await rm(join(folder, 'tokenizer_2', 'merges.txt'));
    await replace(join(folder, 'vae_decoder', 'config.json'), '{"block_out_channels": [4]}');
    await replace(join(folder, 'model_index.json'), 'no JSON');
    const refused = expect(read(folder)).rejects;
    await refused.toMatchObject({ code: 'config_invalid' });
    const message = await read(folder).catch((error: Error) => error.message);
    expect(message).toContain('[local_sdxl] model_dir: the folder tiny-sdxl is no complete SDXL export: ');
    expect(message).toContain('model_index.json is not JSON; vae_decoder/config.json: scaling_factor ');
    expect(message).toContain('tokenizer_2/vocab.json with merges.txt, or tokenizer.json, is missing');
    expect(message).toContain('unet/model.onnx is missing');
    expect(message).toContain('`optimum-cli export onnx --model stabilityai/stable-diffusion-xl-base-1.0');
    // The caller of an API sees it as well.
    expect(message).not.toContain(folder);
  });

  it('that does not exist is refused the same way', async () => {
    await expect(read(join(await temporaryDir(), 'nothing'))).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('model_index.json is missing'),
    });
  });

  it('of a scheduler that is not served is refused with the key', async () => {
    const folder = await tinyModel('tiny-sdxl');
    await replace(
      join(folder, 'scheduler', 'scheduler_config.json'),
      '{"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "sideways"}',
    );
    await expect(read(folder)).rejects.toMatchObject({ message: expect.stringContaining('timestep_spacing') });
  });

  it('with only its own parts takes the rest from another', async () => {
    const base = await tinyModel('tiny-sdxl');
    const own = await tinyModel('tiny-sdxl-lcm');
    for (const part of ['text_encoder', 'tokenizer', 'vae_decoder']) await rm(join(own, part), { recursive: true });
    const model = await read(own, base);
    expect(model.takesGuidance).toBe(true);
    expect(model.graphs.unet).toBe(join(own, 'unet', 'model.onnx'));
    expect(model.graphs.text_encoder).toBe(join(base, 'text_encoder', 'model.onnx'));
  });

  it('has another revision when a file, or a setting that shows, has changed', async () => {
    const folder = await tinyModel('tiny-sdxl');
    const models = [await read(folder)];
    const first = await revisionOf(models, { steps: 4 });
    expect(await revisionOf(models, { steps: 4 })).toBe(first);
    expect(await revisionOf(models, { steps: 5 })).not.toBe(first);
    await replace(join(folder, 'unet', 'model.onnx'), 'other weights');
    expect(await revisionOf(models, { steps: 4 })).not.toBe(first);
  });
});

describe('the recipe of a model', () => {
  it.each([
    ['tiny-sdxl', 'base', { steps: 30, guidanceScale: 5 }],
    ['tiny-sdxl-turbo', 'turbo', { steps: 4, guidanceScale: 0 }],
    ['tiny-sdxl-lcm', 'lcm', { steps: 4, guidanceScale: 8 }],
    ['tiny-sdxl-dpm', 'base', { steps: 30 }],
  ])('of %s is recognised as %s', async (name, preset, settings) => {
    const model = await read(await tinyModel(name));
    expect(recipeOf(model, 'auto')).toMatchObject({ preset, ...settings, scheduler: model.scheduler });
  });

  it.each([
    ['EulerDiscreteScheduler', 'lightning'],
    ['DDIMScheduler', 'hyper'],
    ['TCDScheduler', 'hyper'],
    ['LCMScheduler', 'lcm'],
    ['EulerAncestralDiscreteScheduler', 'turbo'],
    ['UniPCMultistepScheduler', 'base'],
  ] as const)('is known by a trailing %s', async (name, preset) => {
    const model = await read(await tinyModel('tiny-sdxl'));
    const scheduler = { ...model.scheduler, _class_name: name, timestep_spacing: 'trailing' } as const;
    const recipe = recipeOf({ ...model, scheduler }, 'auto');
    expect(recipe.preset).toBe(preset);
    expect(recipe.scheduler._class_name).toBe(name);
    expect(recipe.eta).toBe(name === 'TCDScheduler' ? 1 : 0);
  });

  it('is known by the name of the repository before that', async () => {
    const model = await read(await tinyModel('tiny-sdxl'));
    expect(recipeOf({ ...model, origin: 'ByteDance/SDXL-Lightning' }, 'auto').preset).toBe('lightning');
  });

  it('of a preset brings its own scheduler, and for one step of Lightning a model that predicts the image', async () => {
    const model = await read(await tinyModel('tiny-sdxl'));
    expect(recipeOf(model, 'lcm')).toMatchObject({ guidanceScale: 1.5, scheduler: { _class_name: 'LCMScheduler' } });
    expect(recipeOf(model, 'hyper').scheduler).toMatchObject({
      _class_name: 'DDIMScheduler',
      timestep_spacing: 'trailing',
    });
    expect(recipeOf(model, 'lightning', 1).scheduler.prediction_type).toBe('sample');
    expect(recipeOf(model, 'lightning', 4).scheduler.prediction_type).toBe('epsilon');
  });
});

describe('the exports of the configuration', () => {
  async function variants() {
    const model_dir = await tinyModel('tiny-sdxl');
    const styles = { drone: await tinyModel('tiny-sdxl-turbo') };
    const loras = [{ path: 'fog', scale: 0.8, model_dir: await tinyModel('tiny-sdxl-dpm') }];
    return await readVariants(configSchema.parse({ local_sdxl: { model_dir, styles, loras } }).local_sdxl);
  }

  it('are chosen by style, or by the path and scale of a LoRA', async () => {
    const { base, all, choose } = await variants();
    expect(all).toHaveLength(3);
    expect(choose({})).toBe(base);
    expect(choose({ loras: [] })).toBe(base);
    expect(choose({ style: 'drone' }).recipe.preset).toBe('turbo');
    expect(choose({ loras: [{ path: 'fog', scale: 0.8 }] })).toBe(all[2]);
  });

  it.each([
    [{ style: 'oil' }, 'style must be one of drone'],
    [{ loras: [{ path: 'fog', scale: 1 }] }, 'loras must be one of fog at scale 0.8'],
    [
      {
        loras: [
          { path: 'fog', scale: 0.8 },
          { path: 'fog', scale: 0.8 },
        ],
      },
      'loras must be one of',
    ],
    [{ style: 'drone', loras: [{ path: 'fog', scale: 0.8 }] }, 'cannot be combined'],
  ])('refuse what they have not: %o', async (work, message) => {
    const { choose } = await variants();
    expect(() => choose(work)).toThrow(message);
  });
});

describe('the threads of the model', () => {
  it('are as many as there are cores, not as their threads', () => {
    const cpu = (thread: number) => `processor : ${thread}\nphysical id\t: 0\ncore id\t\t: 0\n`;
    expect(physicalCores(() => [cpu(0), cpu(1)].join('\n'))).toBe(1);
  });

  it('are those that may be used where that cannot be read', () => {
    const allowed = physicalCores(() => {
      throw new Error('no such file');
    });
    expect(allowed).toBeGreaterThanOrEqual(1);
    expect(physicalCores(() => 'processor: 0\n')).toBe(allowed);
  });
});
