import type { SchedulerConfig, SchedulerSettings } from './config.ts';
import { refuse, settingsOf } from './config.ts';
import { positiveAlphasCumprod, sigmasOf } from './noise-schedule.ts';
import { weigh } from './prediction.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { exponentialSigmas, karrasSigmas, sigmaAt, timestepOf } from './sigmas.ts';
import { linspace, spacedTimesteps } from './spacing.ts';
import { varianceExploding } from './variance-exploding.ts';

/**
 * Euler's method on the probability-flow ODE: Karras and others 2022, algorithm 1 with the first-order step.
 * After diffusers' `scheduling_euler_discrete.py`, without the churn that its pipelines never switch on.
 */
export function createEuler(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = settingsOf(config);
  if (settings.use_beta_sigmas) refuse(config, 'use_beta_sigmas', 'choose Karras sigmas');
  const { timesteps, sigmas } = scheduleOf(settings, run.steps);
  const common = varianceExploding(settings, run, timesteps, sigmas);

  return {
    ...common,
    drawsNoise: () => false,

    step(index, { sample, modelOutput, out }) {
      const sigma = sigmas[index] ?? 0;
      const next = sigmas[index + 1] ?? 0;
      const original = common.originalAt(index);
      // x + d·(σ' − σ), where the derivative is d = (x − x0)/σ.
      const stride = (next - sigma) / sigma;
      weigh(1 + stride * (1 - original.ofSample), sample, -stride * original.ofOutput, modelOutput, out);
    },
  };
}

function scheduleOf(settings: SchedulerSettings, steps: number): { timesteps: Float32Array; sigmas: Float32Array } {
  const trained = sigmasOf(positiveAlphasCumprod(settings));
  const spaced = Float32Array.from(spacedTimesteps(settings, steps));
  const levels =
    settings.interpolation_type === 'log_linear'
      ? logLinear(trained, steps)
      : Array.from(spaced, (timestep) => sigmaAt(trained, timestep));

  // Unlike the multistep solvers, Euler takes the range from the levels that it has spaced already.
  const max = settings.sigma_max ?? levels[0] ?? 0;
  const min = settings.sigma_min ?? levels.at(-1) ?? 0;
  let respaced: number[] | undefined;
  if (settings.use_karras_sigmas) respaced = karrasSigmas(max, min, steps);
  else if (settings.use_exponential_sigmas) respaced = exponentialSigmas(max, min, steps);

  const last = settings.final_sigmas_type === 'sigma_min' ? (trained[0] ?? 0) : 0;
  const sigmas = Float32Array.from([...(respaced ?? levels), last]);
  if (settings.timestep_type === 'continuous' && settings.prediction_type === 'v_prediction') {
    return { sigmas, timesteps: sigmas.subarray(0, -1).map((sigma) => 0.25 * Math.log(sigma)) };
  }
  if (respaced === undefined) return { sigmas, timesteps: spaced };
  return { sigmas, timesteps: Float32Array.from(respaced, (sigma) => timestepOf(sigma, trained)) };
}

/** One level more than there are steps, as the reference has it. */
function logLinear(trained: Float32Array, steps: number): number[] {
  return linspace(Math.log(trained.at(-1) ?? 0), Math.log(trained[0] ?? 0), steps + 1).map(Math.exp);
}
