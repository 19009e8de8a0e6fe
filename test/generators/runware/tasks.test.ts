import { describe, expect, it } from 'vitest';
import { RUNWARE_KEY } from '../../fakes/runware-server.ts';
import { plainPng } from '../png.ts';
import { startRun } from '../run.ts';
import { inputImage, makeWork } from '../work.ts';
import { startRunware } from './fixtures.ts';

const square = { width: 512, height: 512 };
const picture = inputImage(plainPng([10, 20, 30], 64));
const base64 = Buffer.from(picture.bytes).toString('base64');

describe('a task at Runware', () => {
  it('is one for each image, with its own seed and id, asked for in one request', async () => {
    const { server, generator } = await startRunware();
    const run = startRun(generator, makeWork({ ...square, seed: 2 ** 32 - 1, numImages: 2 }));
    const images = await run.images;
    expect(images.map(({ seed }) => seed)).toEqual([2 ** 32 - 1, 0]);
    // Their seeds begin at 1, so that our 0 takes the place behind our last.
    expect(server.tasks.map(({ seed }) => seed)).toEqual([2 ** 32 - 1, 2 ** 32]);
    expect([server.submits, run.remoteIds.at(0)]).toEqual([1, server.tasks.map(({ taskUUID }) => taskUUID).join(',')]);
    expect(server.requests[0]?.headers.authorization).toBe(`Bearer ${RUNWARE_KEY}`);
  });

  it('holds no more than the work asks for', async () => {
    const { server, generator } = await startRunware();
    await startRun(generator, makeWork(square)).images;
    expect(server.tasks).toEqual([
      {
        taskType: 'imageInference',
        taskUUID: expect.any(String),
        deliveryMethod: 'async',
        outputType: 'URL',
        outputFormat: 'PNG',
        includeCost: true,
        numberResults: 1,
        model: 'runware:101@1',
        positivePrompt: 'a lighthouse in fog',
        ...square,
        seed: 7,
      },
    ]);
  });

  it('holds everything that the work asks for', async () => {
    const { server, generator } = await startRunware({
      config: { check_content: true, controlnet_weight: 0.6, controlnet_mode: 'controlnet' },
    });
    const work = makeWork({
      ...square,
      negativePrompt: 'people',
      steps: 12,
      guidanceScale: 3.5,
      strength: 0.4,
      loras: [{ path: 'civitai:132942@146296', scale: 0.8 }],
      referenceImage: picture,
      mask: picture,
      depthMap: picture,
    });
    await startRun(generator, work).images;
    expect(server.tasks).toMatchObject([
      {
        negativePrompt: 'people',
        steps: 12,
        CFGScale: 3.5,
        seedImage: base64,
        maskImage: base64,
        strength: 0.4,
        controlNet: [{ model: 'runware:27@1', guideImage: base64, weight: 0.6, controlMode: 'controlnet' }],
        lora: [{ model: 'civitai:132942@146296', weight: 0.8 }],
        safety: { checkContent: true },
      },
    ]);
  });

  it('names the model that the work names, if the configuration has it', async () => {
    const { server, generator } = await startRunware({ config: { models: ['runware:100@1'] } });
    expect(generator.models.get('runware:100@1')?.sizes).toEqual(generator.sizes);
    await startRun(generator, makeWork({ ...square, model: 'runware:100@1' })).images;
    await startRun(generator, makeWork({ ...square, model: 'runware:9@9' })).images;
    expect(server.tasks.map(({ model }) => model)).toEqual(['runware:100@1', 'runware:101@1']);
  });

  it('is refused before it costs when it holds what Runware does not take, naming each field', async () => {
    const { server, generator } = await startRunware();
    const run = startRun(
      generator,
      makeWork({
        prompt: 'x',
        steps: 101,
        guidanceScale: 51,
        loras: [{ path: 'drone', scale: 5 }],
        mask: picture,
      }),
    );
    await expect(run.images).rejects.toMatchObject({ code: 'invalid_request', retryable: false });
    const { issues } = await run.images.then(
      () => ({ issues: [] }),
      (error) => error,
    );
    expect(issues.map(({ path }: { path: string }) => path)).toEqual([
      'prompt',
      'steps',
      'guidance_scale',
      'loras.0.path',
      'loras.0.scale',
      'mask',
    ]);
    expect([server.requests, run.remoteIds]).toEqual([[], []]);
  });

  it('takes depth maps and negative prompts only where the configuration says that the model does', async () => {
    const { generator } = await startRunware({ config: { controlnet_model: undefined, negative_prompts: false } });
    expect(generator.capabilities.fields.has('depth_map')).toBe(false);
    expect(generator.capabilities.fields.has('negative_prompt')).toBe(false);
  });
});

describe('the cost of a task', () => {
  it('is what Runware says, over all images', async () => {
    const { generator } = await startRunware({ server: { cost: 0.0019 } });
    const run = startRun(generator, makeWork({ ...square, numImages: 3 }));
    await run.images;
    expect(run.costs).toEqual([expect.closeTo(0.0057, 9)]);
  });

  it('is the configured price where Runware says nothing, and unsaid without one', async () => {
    const prices = { 'runware:101@1': { per_image: 0.01 } };
    const priced = await startRunware({ config: { prices }, server: { cost: undefined } });
    const run = startRun(priced.generator, makeWork({ ...square, numImages: 2 }));
    await run.images;
    expect(run.costs).toEqual([expect.closeTo(0.02, 9)]);

    const unpriced = await startRunware({ server: { cost: undefined } });
    const free = startRun(unpriced.generator, makeWork(square));
    await free.images;
    expect(free.costs).toEqual([]);
  });

  it('of work that was cancelled can be asked for until it is known', async () => {
    const { server, generator } = await startRunware({ server: { looks: 2 } });
    const work = makeWork({ ...square, numImages: 2 });
    const stop = new AbortController();
    const run = startRun(generator, work, { stop, reactions: { onProgress: () => stop.abort('enough') } });
    await expect(run.images).rejects.toBe('enough');
    expect([run.detached, run.costs]).toEqual([true, []]);
    const costOf = () => generator.costOf(work, run.remoteIds.at(-1) ?? '', new AbortController().signal);
    expect([await costOf(), await costOf(), await costOf()]).toEqual(['open', 'open', expect.closeTo(0.0026, 9)]);
    expect([server.submits, server.count('file')]).toEqual([1, 0]);
  });

  it('of work that Runware has forgotten, or never taken, never becomes known', async () => {
    const { generator } = await startRunware();
    const id = '0b1fc1a1-3a1e-4c1e-8a51-6f1f6a5d0c11';
    const asked = generator.costOf(makeWork(square), id, new AbortController().signal);
    await expect(asked).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
  });
});
