import { AppError } from '../../../errors.ts';
import type { SchedulerSettings } from './config.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** How much of the sample and of the model's output make up another tensor. */
export type Weights = readonly [ofSample: number, ofOutput: number];

/** What Euler's samplers share: latents are the image plus σ times noise, so their scale grows with the noise. */
export function varianceExploding(
  settings: SchedulerSettings,
  run: SchedulerRun,
  timesteps: Float32Array,
  sigmas: Float32Array,
): Omit<Scheduler, 'step' | 'drawsNoise'> & { originalWeights(index: number): Weights } {
  if (run.timesteps !== undefined) {
    throw new AppError('config_invalid', 'Only the LCM and TCD samplers take timesteps of their own.');
  }
  const max = sigmas.reduce((most, sigma) => Math.max(most, sigma), 0);
  const isScaledToSigma = settings.timestep_spacing === 'linspace' || settings.timestep_spacing === 'trailing';

  /** x0 of the model's output: x − σε, or x/(σ²+1) − σv/√(σ²+1). */
  function originalWeights(index: number): Weights {
    const sigma = sigmas[index] ?? 0;
    switch (settings.prediction_type) {
      case 'epsilon':
        return [1, -sigma];
      case 'v_prediction':
        return [1 / (sigma * sigma + 1), -sigma / Math.sqrt(sigma * sigma + 1)];
      case 'sample':
        return [0, 1];
    }
  }

  return {
    timesteps,
    sigmas,
    beginIndex: run.beginIndex ?? 0,
    initNoiseSigma: Math.fround(isScaledToSigma ? max : Math.sqrt(max * max + 1)),
    originalWeights,

    scaleModelInput(index, sample, out) {
      const sigma = sigmas[index] ?? 0;
      const scale = Math.sqrt(sigma * sigma + 1);
      for (let i = 0; i < sample.length; i += 1) out[i] = (sample[i] ?? 0) / scale;
    },

    predictOriginal(index, sample, modelOutput, out) {
      const [fromSample, fromOutput] = originalWeights(index);
      for (let i = 0; i < out.length; i += 1)
        out[i] = fromSample * (sample[i] ?? 0) + fromOutput * (modelOutput[i] ?? 0);
    },

    addNoise(index, clean, noise, out) {
      const sigma = sigmas[index] ?? 0;
      for (let i = 0; i < out.length; i += 1) out[i] = (clean[i] ?? 0) + sigma * (noise[i] ?? 0);
    },
  };
}
