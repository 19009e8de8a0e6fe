import type { SchedulerConfig } from './config.ts';
import { refuse, settingsOf } from './config.ts';
import { positiveAlphasCumprod, sigmasOf } from './noise-schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { sigmaAt } from './sigmas.ts';
import { spacedTimesteps } from './spacing.ts';
import { varianceExploding } from './variance-exploding.ts';

/**
 * Euler's method that goes below the next level and comes back with fresh noise; SDXL-Turbo's sampler.
 * After diffusers' `scheduling_euler_ancestral_discrete.py`, itself after `sample_euler_ancestral` of k-diffusion.
 */
export function createEulerAncestral(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = settingsOf(config);
  if (settings.prediction_type === 'sample') refuse(config, 'prediction_type', 'it takes epsilon or v_prediction');
  const trained = sigmasOf(positiveAlphasCumprod(settings));
  const timesteps = Float32Array.from(spacedTimesteps(settings, run.steps));
  const sigmas = Float32Array.from([...timesteps.values().map((timestep) => sigmaAt(trained, timestep)), 0]);
  const common = varianceExploding(settings, run, timesteps, sigmas);

  return {
    ...common,
    // The last step too, where its weight is 0: the reference draws it, and so the stream stays the same.
    drawsNoise: () => true,

    step(index, { sample, modelOutput, noise, out }) {
      const sigma = sigmas[index] ?? 0;
      const next = sigmas[index + 1] ?? 0;
      const original = common.originalAt(index);
      const up = Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2);
      const down = Math.sqrt(next ** 2 - up ** 2);
      const stride = (down - sigma) / sigma;
      const ofSample = 1 + stride * (1 - original.ofSample);
      const ofOutput = -stride * original.ofOutput;
      for (let i = 0; i < sample.length; i += 1) {
        out[i] = ofSample * (sample[i] ?? 0) + ofOutput * (modelOutput[i] ?? 0) + up * (noise[i] ?? 0);
      }
    },
  };
}
