import type { SchedulerConfig } from './config.ts';
import { settingsOf } from './config.ts';
import { DISTILLED_DEFAULTS, distilledTimesteps } from './distilled.ts';
import { alphasCumprod } from './noise-schedule.ts';
import { levelOfCumprod, originalWeights } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { variancePreserving } from './variance-preserving.ts';

/** Standard deviation of the data, in the consistency models' boundary condition. */
const DATA_DEVIATION = 0.5;

/**
 * Latent consistency models: each step goes to the clean image and back to the next level with fresh noise.
 * Luo and others 2023, algorithm 3, after diffusers' `scheduling_lcm.py`.
 */
export function createLcm(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = settingsOf(config, DISTILLED_DEFAULTS);
  const cumprods = alphasCumprod(settings);
  const timesteps = distilledTimesteps(settings, run);
  const levelAt = (index: number) => levelOfCumprod(cumprods[timesteps[index] ?? 0] ?? 1);
  const isLast = (index: number) => index === timesteps.length - 1;
  const limit = settings.clip_sample ? settings.clip_sample_range : Infinity;

  return {
    ...variancePreserving(settings, run, timesteps, undefined, levelAt),
    drawsNoise: (index) => !isLast(index),

    step(index, { sample, modelOutput, noise, out }) {
      const scaled = (timesteps[index] ?? 0) * settings.timestep_scaling;
      const ofSkip = DATA_DEVIATION ** 2 / (scaled ** 2 + DATA_DEVIATION ** 2);
      const ofClean = scaled / Math.sqrt(scaled ** 2 + DATA_DEVIATION ** 2);
      const original = originalWeights(settings.prediction_type, levelAt(index));
      const next = isLast(index) ? { alpha: 1, sigma: 0 } : levelAt(index + 1);
      for (let i = 0; i < sample.length; i += 1) {
        const x = sample[i] ?? 0;
        const clean = original.ofSample * x + original.ofOutput * (modelOutput[i] ?? 0);
        const denoised = ofClean * Math.min(Math.max(clean, -limit), limit) + ofSkip * x;
        out[i] = next.alpha * denoised + (next.sigma > 0 ? next.sigma * (noise[i] ?? 0) : 0);
      }
    },
  };
}
