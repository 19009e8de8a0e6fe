import { locateComponents } from '../../../src/generators/local-sdxl/model/components.ts';
import { readModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import { recipeOf } from '../../../src/generators/local-sdxl/model/recipe.ts';
import type { OpenGraph } from '../../../src/generators/local-sdxl/networks/graph.ts';
import { openOnnxGraph } from '../../../src/generators/local-sdxl/networks/onnx-graph.ts';
import { runPipeline } from '../../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { openModel } from '../../../src/generators/local-sdxl/process/open-model.ts';
import { TorchGenerator } from '../../../src/generators/local-sdxl/torch-random.ts';
import { runChild } from '../child.ts';
import type { SdxlBareReport } from '../sdxl.ts';
import { SIDE, STEPS, THREADS, tinyModelFolder } from './sdxl-parts.ts';

const { dir, remove } = await tinyModelFolder();
const folder = await readModelFolder(await locateComponents([dir]), '[local_sdxl] model_dir');
let runsMs = 0;

/** Counts how long the library's own runs take. */
const openCounting: OpenGraph = async (path, options) => {
  const graph = await openOnnxGraph(path, options);
  return {
    ...graph,
    async run(feeds, outputs) {
      const started = performance.now();
      const results = await graph.run(feeds, outputs);
      runsMs += performance.now() - started;
      return results;
    },
  };
};
const options = { device: 'cpu', deviceId: 0, threads: THREADS, lowMemory: false } as const;
const model = await openModel(folder, openCounting, options, () => {});
const { scheduler, guidanceScale, eta, strength } = recipeOf(folder, 'base');
let seed = 0;

runChild({
  async work(): Promise<SdxlBareReport> {
    seed += 1;
    runsMs = 0;
    let stepsMs = 0;
    let runsBeforeSteps: number | undefined;
    let runsInSteps = 0;
    const generator = new TorchGenerator(seed);
    await runPipeline(
      model.pipeline,
      {
        prompt: 'a river delta',
        width: SIDE,
        height: SIDE,
        batches: [{ images: 1, noise: (out) => generator.randn(out) }],
        steps: STEPS,
        guidanceScale,
        guidanceRescale: 0,
        scheduler,
        eta,
        strength,
        control: { scale: 1, start: 0, end: 1 },
      },
      {
        signal: new AbortController().signal,
        onStep({ ms }) {
          stepsMs += ms;
          runsInSteps = runsMs - (runsBeforeSteps ?? 0);
        },
        wantsPreview() {
          return false;
        },
        onPreview: () => {},
        tap(name) {
          if (name === 'start_latents') runsBeforeSteps = runsMs;
        },
      },
    );
    return { rendersPerSecond: 1000 / runsMs, overheadMsPerStep: (stepsMs - runsInSteps) / STEPS };
  },
  async stop() {
    await model.release();
    await remove();
  },
});
