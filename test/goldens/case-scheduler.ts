import type { PipelineRequest } from '../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { createScheduler } from '../../src/generators/local-sdxl/schedulers/index.ts';
import type { Measure } from './measure.ts';
import { worstOfLargest } from './measure.ts';
import type { GoldenTensor } from './tensors.ts';
import { readTensor } from './tensors.ts';

const VALUE = 5e-6;
/** The first sigma is 4096 then, and float32 itself loses this much. */
const VALUE_OF_ZERO_SNR = 2e-4;

/**
 * Compares a case's sampler alone: each step from the stored latents, prediction and noise, so that nothing adds up.
 * Cases in half precision are left out: they round every step.
 */
export async function compareScheduler(
  tensors: readonly GoldenTensor[],
  folder: string,
  request: PipelineRequest,
  beginIndex: number,
): Promise<Measure[]> {
  const stored = async (name: string) => {
    const golden = tensors.find((tensor) => tensor.name === name && tensor.source !== 'torch');
    return golden?.dtype === 'float32' ? Float32Array.from(await readTensor(folder, golden)) : undefined;
  };
  const start = await stored('start_latents');
  const predictions = await stored('noise_pred');
  const latents = await stored('latents');
  const noise = (await stored('step_noise')) ?? new Float32Array();
  if (start === undefined || predictions === undefined || latents === undefined) return [];

  const size = start.length;
  const { steps, eta } = request;
  const scheduler = createScheduler(request.scheduler, { steps, size, beginIndex, eta });
  const row = (values: Float32Array, at: number) => values.subarray(at * size, (at + 1) * size);
  const out = new Float32Array(size);
  let worst = 0;
  let draws = 0;
  for (let step = 0; step < latents.length / size; step += 1) {
    const index = beginIndex + step;
    const sample = step === 0 ? start : row(latents, step - 1);
    scheduler.step(index, { sample, modelOutput: row(predictions, step), noise: row(noise, draws), out });
    if (scheduler.drawsNoise(index)) draws += 1;
    worst = Math.max(worst, worstOfLargest(out, row(latents, step)));
  }
  const hold = request.scheduler.rescale_betas_zero_snr === true ? VALUE_OF_ZERO_SNR : VALUE;
  return [{ tensor: 'latents from the stored noise_pred', worst, hold }];
}
