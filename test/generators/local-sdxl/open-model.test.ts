import { basename, dirname } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { locateComponents } from '../../../src/generators/local-sdxl/model/components.ts';
import { readModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import type { OpenGraph } from '../../../src/generators/local-sdxl/networks/graph.ts';
import { openOnnxGraph } from '../../../src/generators/local-sdxl/networks/onnx-graph.ts';
import type { PipelineHooks, PipelineRequest } from '../../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { runPipeline } from '../../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { drawPreview } from '../../../src/generators/local-sdxl/pipeline/preview.ts';
import { isDeviceFailure, loadFailure, renderFailure } from '../../../src/generators/local-sdxl/process/failures.ts';
import { GraphNotOpened, openModel } from '../../../src/generators/local-sdxl/process/open-model.ts';
import { createStepTimes } from '../../../src/generators/local-sdxl/step-times.ts';
import { TorchGenerator } from '../../../src/generators/local-sdxl/torch-random.ts';
import { createTurns } from '../../../src/generators/local-sdxl/turns.ts';
import { tinyModel } from './tiny-model.ts';

async function open(name: string, lowMemory: boolean) {
  const log: string[] = [];
  const model = await readModelFolder(await locateComponents([await tinyModel(name)]), '[local_sdxl] model_dir');
  const openGraph: OpenGraph = async (path, options) => {
    const component = basename(dirname(path));
    log.push(`+${component}`);
    const graph = await openOnnxGraph(path, options);
    return {
      ...graph,
      async release() {
        log.push(`-${component}`);
        await graph.release();
      },
    };
  };
  const options = { device: 'cpu', deviceId: 0, threads: 1, lowMemory } as const;
  const loading: string[] = [];
  const opened = await openModel(model, openGraph, options, (graph, index, of) =>
    loading.push(`${graph} ${index}/${of}`),
  );
  onTestFinished(() => opened.release());
  return { model, opened, log, loading };
}

const quiet: PipelineHooks = {
  signal: new AbortController().signal,
  onStep: () => {},
  wantsPreview: () => false,
  onPreview: () => {},
};

function request(scheduler: PipelineRequest['scheduler']): PipelineRequest {
  const generator = new TorchGenerator(7);
  const batch = { images: 1, noise: (out: Float32Array) => generator.randn(out) };
  return {
    prompt: 'a lighthouse',
    negativePrompt: 'fog',
    width: 64,
    height: 64,
    batches: [batch],
    steps: 3,
    guidanceScale: 5,
    guidanceRescale: 0,
    scheduler,
    eta: 0,
    strength: 0.5,
    control: { scale: 1, start: 0, end: 1 },
  };
}

describe('a model', () => {
  it('is opened graph by graph, telling which, and keeps all of them', async () => {
    const { model, opened, log, loading } = await open('tiny-sdxl-controlnet', false);
    expect(loading).toEqual([
      'text_encoder 0/6',
      'text_encoder_2 1/6',
      'vae_encoder 2/6',
      'unet 3/6',
      'controlnet 4/6',
      'vae_decoder 5/6',
    ]);
    expect(opened.facts).toEqual({ controlNet: true, imageToImage: true, notes: [] });
    const opens = [...log];
    await runPipeline(opened.pipeline, request(model.scheduler), quiet);
    expect(log).toEqual(opens);
  });

  it('that must save memory has only the graphs of one stage open, and renders the same', async () => {
    const large = await open('tiny-sdxl-controlnet', false);
    const small = await open('tiny-sdxl-controlnet', true);
    const wanted = request(large.model.scheduler);
    const [expected] = await runPipeline(large.opened.pipeline, wanted, quiet);

    const before = small.log.length;
    const [image] = await runPipeline(small.opened.pipeline, request(small.model.scheduler), quiet);
    expect(small.log.slice(before)).toEqual([
      '+text_encoder',
      '+text_encoder_2',
      '-text_encoder',
      '-text_encoder_2',
      '+unet',
      '+controlnet',
      '-unet',
      '-controlnet',
      '+vae_decoder',
      '-vae_decoder',
    ]);
    // Rows that go through the UNet one by one are summed in another order.
    const differences = image?.data.map((value, i) => Math.abs(value - (expected?.data[i] ?? 0))) ?? [];
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  });

  it('without ControlNet or VAE encoder says so', async () => {
    const { opened } = await open('tiny-sdxl', false);
    expect(opened.facts).toEqual({ controlNet: false, imageToImage: true, notes: [] });
  });

  it('in half precision renders as well', async () => {
    const { model, opened } = await open('tiny-sdxl-fp16', false);
    const [image] = await runPipeline(opened.pipeline, request(model.scheduler), quiet);
    expect(new Set(image?.data).size).toBeGreaterThan(10);
  });

  it('draws a batch of two at once as it draws them one by one', async () => {
    const { model, opened } = await open('tiny-sdxl', false);
    const noiseOf = (seeds: readonly number[]) => {
      const generators = seeds.map((seed) => new TorchGenerator(seed));
      return (out: Float32Array) => {
        const length = out.length / seeds.length;
        for (const [i, generator] of generators.entries()) generator.randn(out.subarray(i * length, (i + 1) * length));
      };
    };
    const together = [{ images: 2, noise: noiseOf([1, 2]) }];
    const apart = [1, 2].map((seed) => ({ images: 1, noise: noiseOf([seed]) }));
    const batch = await runPipeline(opened.pipeline, { ...request(model.scheduler), batches: together }, quiet);
    const single = await runPipeline(opened.pipeline, { ...request(model.scheduler), batches: apart }, quiet);
    for (const [index, image] of batch.entries()) {
      const differences = image.data.map((value, i) => Math.abs(value - (single[index]?.data[i] ?? 0)));
      expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    }
  });
});

describe('a VAE that gives no numbers', () => {
  it.each([
    [true, 'in half precision SDXL’s own VAE overflows'],
    [false, 'the model or its export is damaged'],
  ])('fails the render with what to do, in half precision: %s', async (half, hint) => {
    const { model, opened } = await open('tiny-sdxl', false);
    const networks = {
      ...opened.pipeline.networks,
      vaeDecoder: async () => ({
        half,
        decode: async () => ({
          data: new Float32Array(3).fill(Number.NaN),
          batch: 1,
          channels: 3,
          height: 1,
          width: 1,
        }),
      }),
    };
    const run = runPipeline({ ...opened.pipeline, networks }, request(model.scheduler), quiet);
    await expect(run).rejects.toMatchObject({
      code: 'generator_failed',
      retryable: false,
      message: expect.stringContaining(hint),
    });
  });
});

describe('the time that is left', () => {
  it('follows the newest steps, for the first ones are slower', () => {
    const times = createStepTimes();
    expect(times.remainingMs(400, 3)).toBe(1200);
    expect(times.remainingMs(100, 2)).toBe(500);
    expect(times.remainingMs(100, 1)).toBe(175);
    expect(times.remainingMs(100, 0)).toBe(0);
  });
});

describe('what the library says', () => {
  const notOpened = (words: string) => new GraphNotOpened('unet', { cause: new Error(words) });

  it('of memory may pass', () => {
    const error = notOpened('BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 9');
    expect(loadFailure(error)).toMatchObject({ why: 'failed', message: 'There is too little memory for the model.' });
    expect(isDeviceFailure(error)).toBe(false);
    expect(renderFailure(new Error('std::bad_alloc'))).toMatchObject({ why: 'fatal' });
  });

  it('of a lost device ends the process', () => {
    expect(renderFailure(new Error('CUDA failure 700: an illegal memory access was encountered'))).toMatchObject({
      why: 'fatal',
      message: expect.stringContaining('GPU'),
    });
  });

  it('otherwise stays in the log', () => {
    expect(renderFailure(new Error('node /model/unet failed'))).toEqual({
      kind: 'failed',
      why: 'error',
      message: 'The model could not render the image.',
      detail: 'node /model/unet failed',
    });
    expect(loadFailure(new Error('x'))).toMatchObject({ why: 'failed', message: 'The model could not be loaded.' });
  });
});

describe('a preview', () => {
  it('shows one pixel for each of the latents, in grey where they are zero', () => {
    const { data, width, height } = drawPreview(new Float32Array(4 * 2 * 3), 2, 3);
    expect([width, height, data.length]).toEqual([3, 2, 18]);
    expect([...data.subarray(0, 3)]).toEqual([141, 125, 127]);
  });
});

describe('turns', () => {
  it('are taken one after another, and left by those who wait no longer', async () => {
    const turns = createTurns();
    const signal = new AbortController().signal;
    const order: string[] = [];
    const first = await turns.take(signal);
    const leaving = new AbortController();
    const second = turns.take(leaving.signal);
    const third = turns.take(signal).then((end) => {
      order.push('third');
      end();
    });
    leaving.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    order.push('first');
    first();
    await third;
    expect(order).toEqual(['first', 'third']);
    (await turns.take(signal))();
  });
});
