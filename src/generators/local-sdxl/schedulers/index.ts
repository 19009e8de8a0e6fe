import { AppError } from '../../../errors.ts';
import type { SchedulerConfig } from './config.ts';
import { createDdim } from './ddim.ts';
import { createDpmSolver } from './dpm-solver.ts';
import { createEuler } from './euler.ts';
import { createEulerAncestral } from './euler-ancestral.ts';
import { createLcm } from './lcm.ts';
import type { Scheduler, SchedulerFactory, SchedulerRun } from './scheduler.ts';
import { createTcd } from './tcd.ts';
import { createUniPc } from './unipc.ts';

/** The samplers, by the class names that diffusers gives them in `scheduler_config.json`. */
const SCHEDULERS = {
  EulerDiscreteScheduler: createEuler,
  EulerAncestralDiscreteScheduler: createEulerAncestral,
  DPMSolverMultistepScheduler: createDpmSolver,
  UniPCMultistepScheduler: createUniPc,
  DDIMScheduler: createDdim,
  LCMScheduler: createLcm,
  TCDScheduler: createTcd,
} as const satisfies Record<string, SchedulerFactory>;

/** A class that this server has. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** Those that take a list of timesteps in place of their schedule. */
const TAKE_TIMESTEPS: readonly SchedulerName[] = ['LCMScheduler', 'TCDScheduler'];

/** Names of all classes, for messages. */
export const SCHEDULER_NAMES: readonly string[] = Object.keys(SCHEDULERS);

/** Whether this server has the class. */
export function isSchedulerName(name: string): name is SchedulerName {
  return Object.hasOwn(SCHEDULERS, name);
}

/**
 * The sampler that a config names, for one run. Throws `config_invalid` for settings that it cannot do, and
 * `invalid_request` for a number of steps outside its range.
 */
export function createScheduler(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const name = config._class_name;
  if (!isSchedulerName(name)) {
    throw new AppError('config_invalid', `There is no sampler ${name} here; there are ${SCHEDULER_NAMES.join(', ')}.`);
  }
  if (config.timesteps != null && !TAKE_TIMESTEPS.includes(name)) {
    throw new AppError('config_invalid', `Only ${TAKE_TIMESTEPS.join(' and ')} take listed timesteps.`);
  }
  return SCHEDULERS[name](config, run);
}

/** Throws `config_invalid` for a config that no run could use, so that it is found before anybody waits for one. */
export function checkScheduler(config: SchedulerConfig): void {
  createScheduler(config, { steps: config.timesteps?.length ?? 1, size: 0 });
}
