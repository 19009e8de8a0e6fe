import type { SchedulerConfig } from './config.ts';
import { settingsOf } from './config.ts';
import { alphasCumprod } from './noise-schedule.ts';
import { levelOfCumprod, noiseWeights, originalWeights } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { roundHalfEven, spacedTimesteps } from './spacing.ts';
import { variancePreserving } from './variance-preserving.ts';

/**
 * DDIM: Song and others 2020, equations 12 and 16; `eta` 1 is DDPM's noise.
 * After diffusers' `scheduling_ddim.py`.
 */
export function createDdim(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = settingsOf(config, { timestep_spacing: 'leading', clip_sample: true });
  const cumprods = alphasCumprod(settings);
  const timesteps = Float32Array.from(spacedTimesteps(settings, run.steps), roundHalfEven);
  const ratio = Math.floor(settings.num_train_timesteps / run.steps);
  const final = settings.set_alpha_to_one ? 1 : (cumprods[0] ?? 1);
  // Python's indexing: a schedule of one timestep too many ends at −1, which is the noisiest.
  const cumprodAt = (index: number) => cumprods.at(timesteps[index] ?? 0) ?? 1;
  const levelAt = (index: number) => levelOfCumprod(cumprodAt(index));
  const eta = run.eta ?? 0;
  const limit = settings.clip_sample ? settings.clip_sample_range : Infinity;

  return {
    ...variancePreserving(settings, run, timesteps, undefined, levelAt),
    drawsNoise: () => eta > 0,

    step(index, { sample, modelOutput, noise, out }) {
      // The previous timestep of training's grid, whatever the schedule lists next.
      const previous = (timesteps[index] ?? 0) - ratio;
      const cumprod = cumprodAt(index);
      const target = previous >= 0 ? (cumprods[previous] ?? 1) : final;
      const variance = ((1 - target) / (1 - cumprod)) * (1 - cumprod / target);
      const deviation = eta * Math.sqrt(variance);
      const ofOriginal = Math.sqrt(target);
      const ofDirection = Math.sqrt(1 - target - deviation ** 2);
      const original = originalWeights(settings.prediction_type, levelAt(index));
      const direction = noiseWeights(settings.prediction_type, levelAt(index));
      for (let i = 0; i < sample.length; i += 1) {
        const x = sample[i] ?? 0;
        const output = modelOutput[i] ?? 0;
        const clean = original.ofSample * x + original.ofOutput * output;
        const clipped = Math.min(Math.max(clean, -limit), limit);
        const pointing = direction.ofSample * x + direction.ofOutput * output;
        out[i] = ofOriginal * clipped + ofDirection * pointing + (eta > 0 ? deviation * (noise[i] ?? 0) : 0);
      }
    },
  };
}
