import { AppError } from '../../../errors.ts';
import type { SchedulerSettings } from './config.ts';

/** NumPy's `round`: halves go to the even neighbour, where `Math.round` goes up and would give other timesteps. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `numpy.linspace` in double precision, both ends included. */
export function linspace(from: number, to: number, count: number): number[] {
  if (count === 1) return [from];
  const step = (to - from) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? to : i * step + from));
}

/**
 * Timesteps of the samplers whose schedule has `steps` points (Euler, DDIM), falling.
 * The three spacings are those of Lin and others 2023, table 2. `linspace` gives fractions.
 */
export function spacedTimesteps(settings: SchedulerSettings, steps: number): number[] {
  const { num_train_timesteps: count, timestep_spacing: spacing, steps_offset: offset } = settings;
  checkSteps(steps, count);
  switch (spacing) {
    case 'linspace':
      return linspace(0, count - 1, steps).reverse();
    case 'leading':
      return leading(Math.floor(count / steps), steps, offset);
    case 'trailing':
      return trailing(count, count / steps);
  }
}

/**
 * Timesteps of the multistep solvers (DPM-Solver++, UniPC): whole, falling, from `steps + 1` points of which the one at
 * the clean end is left out.
 * @param last one above the largest timestep in use
 */
export function multistepTimesteps(settings: SchedulerSettings, steps: number, last: number): number[] {
  const { num_train_timesteps: count, timestep_spacing: spacing, steps_offset: offset } = settings;
  checkSteps(steps, count);
  switch (spacing) {
    case 'linspace':
      return linspace(0, last - 1, steps + 1)
        .map(roundHalfEven)
        .reverse()
        .slice(0, -1);
    case 'leading':
      return leading(Math.floor(last / (steps + 1)), steps + 1, offset).slice(0, -1);
    case 'trailing':
      return trailing(last, count / steps);
  }
}

function leading(ratio: number, points: number, offset: number): number[] {
  return Array.from({ length: points }, (_, i) => (points - 1 - i) * ratio + offset);
}

/** `numpy.arange(last, 0, -ratio)`, whose length comes from a division: 61 steps of 1000 give 62 timesteps. */
function trailing(last: number, ratio: number): number[] {
  const step = last - ratio - last;
  return Array.from({ length: Math.ceil(last / ratio) }, (_, i) => roundHalfEven(last + i * step) - 1);
}

function checkSteps(steps: number, count: number): void {
  if (Number.isInteger(steps) && steps >= 1 && steps <= count) return;
  throw new AppError('invalid_request', `This sampler takes 1 to ${count} steps.`);
}
