import type { SchedulerSettings } from './config.ts';
import type { Level } from './prediction.ts';
import { originalWeights, weigh } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** What the samplers share whose latents keep one variance at all noise levels. The UNet gets them as they are. */
export function variancePreserving(
  settings: SchedulerSettings,
  run: SchedulerRun,
  timesteps: Float32Array,
  sigmas: Float32Array | undefined,
  levelAt: (index: number) => Level,
): Omit<Scheduler, 'step' | 'drawsNoise'> {
  return {
    timesteps,
    sigmas,
    beginIndex: run.beginIndex ?? 0,
    initNoiseSigma: 1,

    scaleModelInput(_index, sample, out) {
      out.set(sample);
    },

    predictOriginal(index, sample, modelOutput, out) {
      const { ofSample, ofOutput } = originalWeights(settings.prediction_type, levelAt(index));
      weigh(ofSample, sample, ofOutput, modelOutput, out);
    },

    addNoise(index, clean, noise, out) {
      const { alpha, sigma } = levelAt(index);
      weigh(alpha, clean, sigma, noise, out);
    },
  };
}
