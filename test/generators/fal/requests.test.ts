import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { priceOf } from '../../../src/generators/fal/prices.ts';
import type { Work } from '../../../src/generators/generator.ts';
import type { FalServerOptions } from '../../fakes/fal-server.ts';
import { startFalServer } from '../../fakes/fal-server.ts';
import { failing, json } from '../../fakes/scripted-upstream.ts';
import { ManualClock } from '../../manual-clock.ts';
import { plainPng } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import type { FalChanges } from './fixtures.ts';
import { falGenerator } from './fixtures.ts';

const PICTURE = plainPng([9, 9, 9], 64);
const DATA_URL = `data:image/png;base64,${PICTURE.toString('base64')}`;

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

/** One work from its submit to its end, and what the server got of it. */
async function draw(parts: Partial<Work>, changes: FalChanges = {}, options: FalServerOptions = {}) {
  const server = await startFalServer(options);
  onTestFinished(() => server.close());
  const generator = falGenerator(server, { clock, changes });
  await generator.start();
  const run = startRun(generator, makeWork({ width: 256, height: 256, ...parts }));
  const images = await clock.run(run.images);
  const [job] = server.jobs.values();
  return { server, images, job, costs: run.costs };
}

describe('a submit', () => {
  it('goes to the endpoint with the key, and looks and results to its application', async () => {
    const { server, job } = await draw(
      { model: 'fal-ai/flux/dev/deep' },
      { fal: { endpoints: ['fal-ai/flux/dev/deep'] } },
    );
    expect(job?.endpoint).toBe('fal-ai/flux/dev/deep');
    const at = `/fal-ai/flux/requests/${job?.id}`;
    const calls = server.requests
      .filter(({ route }) => route !== 'file')
      .map(({ method, path }) => `${method} ${path}`);
    expect(new Set(calls)).toEqual(new Set([`POST /fal-ai/flux/dev/deep`, `GET ${at}/status`, `GET ${at}`]));
    for (const { route, headers } of server.requests) {
      expect(headers.authorization).toBe(route === 'file' ? undefined : `Key ${server.key}`);
    }
  });

  it('has the fields under the names that the table gives, and what is always sent', async () => {
    const mapping = {
      prompt: 'text',
      negative_prompt: 'bad_words',
      width: 'w',
      height: 'h',
      reference_image: 'image_url',
      loras: 'loras',
    };
    const { job } = await draw(
      {
        prompt: 'a hill',
        negativePrompt: 'people',
        seed: 3,
        loras: [{ path: 'https://example.org/l', scale: 0.5 }],
        referenceImage: inputImage(PICTURE),
        steps: 8,
      },
      { fal: { mapping, arguments: { enable_safety_checker: false, nested: { a: [1] } } } },
    );
    expect(job?.input).toEqual({
      text: 'a hill',
      bad_words: 'people',
      w: 256,
      h: 256,
      image_url: DATA_URL,
      loras: [{ path: 'https://example.org/l', scale: 0.5 }],
      seed: 3,
      num_images: 1,
      enable_safety_checker: false,
      nested: { a: [1] },
    });
  });

  it('leaves out what the request does not say', async () => {
    const { job } = await draw({ prompt: 'a hill', seed: 3, numImages: 2 });
    expect(job?.input).toEqual({
      prompt: 'a hill',
      seed: 3,
      num_images: 2,
      image_size: { width: 256, height: 256 },
      output_format: 'png',
    });
  });

  it('goes by the usual endpoint for a model of another generator', async () => {
    const { job } = await draw({ model: 'gpt-image-2' });
    expect(job?.endpoint).toBe('fal-ai/flux/schnell');
  });
});

describe('the preset fal_comfy', () => {
  const comfy: FalChanges = {
    fal: { preset: 'fal_comfy' },
    fal_comfy: { lora_url: 'https://example.org/usual', model_url: 'https://example.org/model', lora_strength: 0.5 },
  };

  it('asks the workflow with its arguments, and takes its form of answer', async () => {
    const { job, images, server } = await draw(
      { prompt: 'a delta', seed: 4, depthMap: inputImage(PICTURE), era: 'modern' },
      comfy,
      { form: 'outputs' },
    );
    expect(images).toHaveLength(1);
    expect(job?.endpoint).toBe('comfy/RKelln/experimancexilightningdepth');
    expect(
      server.requests.some(({ path }) => path.startsWith('/comfy/RKelln/experimancexilightningdepth/requests/')),
    ).toBe(true);
    expect(job?.input).toEqual({
      prompt: 'a delta',
      negative_prompt: '',
      model_url: 'https://example.org/model',
      lora_url: 'https://example.org/usual',
      lora_strength: 0.5,
      depth_map: DATA_URL,
      ksampler_seed: 4,
    });
  });

  it.each([
    ['wilderness', 'https://civitai.com/api/download/models/179152?type=Model&format=SafeTensor', 0.4],
    ['pre_industrial', 'https://civitai.com/api/download/models/179152?type=Model&format=SafeTensor', 0.4],
    ['future', 'https://example.org/usual', 0.6],
    ['ruins', 'https://example.org/usual', 0.5],
    [undefined, 'https://example.org/usual', 0.5],
  ])('takes the LoRA of the era %s', async (era, lora_url, lora_strength) => {
    const { job } = await draw({ era, negativePrompt: 'roads' }, comfy);
    expect(job?.input).toMatchObject({ lora_url, lora_strength, negative_prompt: 'roads', depth_map: null });
  });

  it('reads an image that stands alone in the outputs', async () => {
    const server = await startFalServer();
    onTestFinished(() => server.close());
    const url = DATA_URL;
    server.plan('result', json({ outputs: { '3': { image_output: url } } }), json({ image: { url } }));
    const generator = falGenerator(server, { clock, changes: comfy });
    await generator.start();
    for (const seed of [1, 2]) {
      const [image] = await clock.run(startRun(generator, makeWork({ seed })).images);
      expect(image).toMatchObject({ kind: 'encoded', seed, bytes: PICTURE });
    }
  });
});

describe('the preset falai_lightning_i2i', () => {
  it('changes a reference image by its own settings, and those of the request', async () => {
    const changes = { falai_lightning_i2i: { guidance_rescale: 0.7 } };
    const work = { model: 'falai_lightning_i2i', referenceImage: inputImage(PICTURE), seed: 6 };
    const { job } = await draw(work, changes);
    expect(job?.endpoint).toBe('fal-ai/fast-lightning-sdxl/image-to-image');
    expect(job?.input).toEqual({
      image_url: DATA_URL,
      prompt: 'a lighthouse in fog',
      strength: 0.4,
      num_inference_steps: 4,
      seed: 6,
      num_images: 1,
      format: 'jpeg',
      enable_safety_checker: false,
      safety_checker_version: 'v2',
      expand_prompt: false,
      preserve_aspect_ratio: false,
      crop_output: false,
      image_size: { width: 256, height: 256 },
      guidance_rescale: 0.7,
    });
    const own = await draw({ ...work, strength: 0.9, steps: 2 });
    expect(own.job?.input).toMatchObject({ strength: 0.9, num_inference_steps: 2 });
  });

  it('does nothing without one', async () => {
    await expect(draw({ model: 'falai_lightning_i2i' })).rejects.toMatchObject({ code: 'unsupported_field' });
  });
});

describe('an input image', () => {
  const small: FalChanges = { fal: { inline_kb: 0, mapping: { depth_map: 'control' } } };

  it('that is large is uploaded before, without the key where the file itself goes', async () => {
    const { server, job } = await draw({ depthMap: inputImage(PICTURE) }, small);
    const [[address, bytes] = []] = server.uploads;
    expect(job?.input.control).toBe(address);
    expect(bytes).toEqual(PICTURE);
    const put = server.requests.find(({ route }) => route === 'upload');
    expect(put?.headers.authorization).toBeUndefined();
    expect(put?.headers['content-type']).toBe('image/png');
    expect(server.requests.find(({ route }) => route === 'initiate')?.headers.authorization).toBe(`Key ${server.key}`);
  });

  it('is uploaded again when that fails in passing, and nothing is submitted before', async () => {
    const server = await startFalServer();
    onTestFinished(() => server.close());
    server.plan('initiate', failing(503));
    server.plan('upload', failing(500));
    const generator = falGenerator(server, { clock, changes: small });
    await generator.start();
    const work = makeWork({ width: 256, height: 256, depthMap: inputImage(PICTURE) });
    await clock.run(startRun(generator, work).images);
    expect([server.count('initiate'), server.count('upload'), server.count('submit')]).toEqual([3, 2, 1]);

    server.always('initiate', failing(503));
    await expect(clock.run(startRun(generator, work).images)).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(server.count('submit')).toBe(1);
  });

  it('is not sent to a host that is not allowed', async () => {
    const server = await startFalServer();
    onTestFinished(() => server.close());
    server.plan('initiate', json({ upload_url: 'https://evil.example/put', file_url: 'https://evil.example/file' }));
    const generator = falGenerator(server, { clock, changes: small });
    await generator.start();
    const run = startRun(generator, makeWork({ depthMap: inputImage(PICTURE) }));
    await expect(clock.run(run.images)).rejects.toMatchObject({ code: 'unsafe_result_url' });
    expect(server.count('submit')).toBe(0);
  });
});

describe('the cost of a job', () => {
  it('is told once, by the table of prices', async () => {
    const prices = { 'fal-ai/flux/schnell': { per_image: 0.01, per_megapixel: 0.1, per_second: 1 } };
    const { costs } = await draw({ numImages: 2 }, { fal: { prices } });
    expect(costs).toEqual([0.02 + 0.2 + 1.5]);
  });

  it('stays unsaid when the table does not have the endpoint', async () => {
    const { costs } = await draw({}, { fal: { prices: {} } });
    expect(costs).toEqual([]);
  });

  it('rounds megapixels up for each image', () => {
    const price = (width: number, height: number) =>
      priceOf({ e: { per_megapixel: 1 } }, { endpoint: 'e', sizes: [{ width, height }], seconds: undefined });
    expect(price(1024, 1024)).toBe(1);
    expect(price(1032, 1024)).toBe(2);
    expect(price(64, 64)).toBe(1);
  });
});

describe('the revision', () => {
  it('changes with what decides how images look, and with nothing else', async () => {
    const server = await startFalServer();
    onTestFinished(() => server.close());
    const revision = (changes: FalChanges) => falGenerator(server, { clock, changes }).revision;
    const usual = revision({});
    expect(revision({ fal: { poll_s: 9, concurrency: 7 } })).toBe(usual);
    expect(revision({ fal: { endpoint: 'fal-ai/flux/dev' } })).not.toBe(usual);
    expect(revision({ fal_comfy: { lora_strength: 0.3 } })).not.toBe(usual);
  });
});
