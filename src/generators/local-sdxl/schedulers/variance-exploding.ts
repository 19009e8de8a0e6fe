import type { SchedulerSettings } from './config.ts';
import type { Weights } from './prediction.ts';
import { levelOfSigma, originalWeights, weigh } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** What Euler's samplers add to the common part of a scheduler. */
interface VarianceExploding extends Omit<Scheduler, 'step' | 'drawsNoise'> {
  /** x0 of the sample and the model's output at `index`. */
  originalAt(index: number): Weights;
}

/**
 * What Euler's samplers share: latents are the image plus σ times noise, so their scale grows with the noise, and the
 * UNet gets them scaled down.
 */
export function varianceExploding(
  settings: SchedulerSettings,
  run: SchedulerRun,
  timesteps: Float32Array,
  sigmas: Float32Array,
): VarianceExploding {
  const max = sigmas.reduce((most, sigma) => Math.max(most, sigma), 0);
  const startsAtMax = settings.timestep_spacing === 'linspace' || settings.timestep_spacing === 'trailing';

  function originalAt(index: number): Weights {
    // The sample here is 1/alpha times that of the variance-preserving form, which the weights are for.
    const level = levelOfSigma(sigmas[index] ?? 0);
    const { ofSample, ofOutput } = originalWeights(settings.prediction_type, level);
    return { ofSample: ofSample * level.alpha, ofOutput };
  }

  return {
    timesteps,
    sigmas,
    beginIndex: run.beginIndex ?? 0,
    initNoiseSigma: Math.fround(startsAtMax ? max : Math.sqrt(max * max + 1)),
    originalAt,

    scaleModelInput(index, sample, out) {
      const { alpha } = levelOfSigma(sigmas[index] ?? 0);
      for (let i = 0; i < sample.length; i += 1) out[i] = (sample[i] ?? 0) * alpha;
    },

    predictOriginal(index, sample, modelOutput, out) {
      const { ofSample, ofOutput } = originalAt(index);
      weigh(ofSample, sample, ofOutput, modelOutput, out);
    },

    addNoise(index, clean, noise, out) {
      weigh(1, clean, sigmas[index] ?? 0, noise, out);
    },
  };
}
