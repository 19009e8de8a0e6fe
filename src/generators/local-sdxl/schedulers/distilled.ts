import { AppError } from '../../../errors.ts';
import type { SchedulerSettings } from './config.ts';
import type { SchedulerRun } from './scheduler.ts';

/** Keys of which LCM and TCD have other defaults than the rest. */
export const DISTILLED_DEFAULTS = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  timestep_spacing: 'leading',
} as const satisfies Partial<SchedulerSettings>;

/**
 * Timesteps of LCM and TCD: evenly from the grid that the model was distilled on, noisiest first, or as the settings
 * list them. Luo and others 2023, section 4.3; after diffusers' `scheduling_lcm.py`.
 */
export function distilledTimesteps(settings: SchedulerSettings, run: SchedulerRun): Float32Array {
  const { num_train_timesteps: count, original_inference_steps: points } = settings;
  if (settings.timesteps !== null) return listed(settings.timesteps, count, run.steps);
  if (!Number.isInteger(run.steps) || run.steps < 1 || run.steps > points) {
    throw new AppError('invalid_request', `This sampler takes 1 to ${points} steps.`);
  }
  const skip = Math.floor(count / points);
  const grid = Array.from({ length: points }, (_, i) => (points - i) * skip - 1);
  const stride = points / run.steps;
  return Float32Array.from({ length: run.steps }, (_, i) => grid[Math.floor(i * stride)] ?? 0);
}

function listed(timesteps: readonly number[], count: number, steps: number): Float32Array {
  if (!timesteps.every((timestep, i) => timestep < (i === 0 ? count : (timesteps[i - 1] ?? 0)))) {
    throw new AppError('config_invalid', `Listed timesteps must fall from below ${count}.`);
  }
  if (steps !== timesteps.length) {
    throw new AppError('invalid_request', `This model takes ${timesteps.length} steps exactly.`);
  }
  return Float32Array.from(timesteps);
}
