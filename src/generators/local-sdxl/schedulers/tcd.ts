import type { SchedulerConfig } from './config.ts';
import { settingsOf } from './config.ts';
import { DISTILLED_DEFAULTS, distilledTimesteps } from './distilled.ts';
import { alphasCumprod } from './noise-schedule.ts';
import { levelOfCumprod, noiseWeights, originalWeights, weigh } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { variancePreserving } from './variance-preserving.ts';

const { fround } = Math;

/**
 * Trajectory consistency distillation: each step goes below the next level, by the share `eta`, and back with noise.
 * Zheng and others 2024, algorithm 4 (where eta is γ), after diffusers' `scheduling_tcd.py`.
 */
export function createTcd(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = settingsOf(config, DISTILLED_DEFAULTS);
  const cumprods = alphasCumprod(settings);
  const timesteps = distilledTimesteps(settings, run);
  const cumprodOf = (timestep: number) => cumprods[timestep] ?? 1;
  const levelAt = (index: number) => levelOfCumprod(cumprodOf(timesteps[index] ?? 0));
  const eta = run.eta ?? 0;
  const drawsNoise = (index: number) => eta > 0 && index < timesteps.length - 1;

  return {
    ...variancePreserving(settings, run, timesteps, undefined, levelAt),
    drawsNoise,

    step(index, { sample, modelOutput, noise, out }) {
      const next = timesteps[index + 1] ?? 0;
      // The product is a float32 in the reference, which decides on which side of a whole number it falls.
      const below = Math.floor(fround(fround(1 - eta) * next));
      const target = levelOfCumprod(cumprodOf(below));
      const original = originalWeights(settings.prediction_type, levelAt(index));
      const direction = noiseWeights(settings.prediction_type, levelAt(index));
      const ofSample = target.alpha * original.ofSample + target.sigma * direction.ofSample;
      const ofOutput = target.alpha * original.ofOutput + target.sigma * direction.ofOutput;
      weigh(ofSample, sample, ofOutput, modelOutput, out);
      if (!drawsNoise(index)) return;
      const share = cumprodOf(next) / cumprodOf(below);
      weigh(Math.sqrt(share), out, Math.sqrt(1 - share), noise, out);
    },
  };
}
