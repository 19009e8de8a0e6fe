import { AppError } from '../../../errors.ts';
import type { SchedulerConfig } from './config.ts';
import { createEuler } from './euler.ts';
import type { Scheduler, SchedulerFactory, SchedulerRun } from './scheduler.ts';

/** The samplers, by the class names that diffusers gives them in `scheduler_config.json`. */
const SCHEDULERS = {
  EulerDiscreteScheduler: createEuler,
} as const satisfies Record<string, SchedulerFactory>;

/** A class that this server has. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** Names of all classes, for messages. */
export const SCHEDULER_NAMES = Object.keys(SCHEDULERS);

/** Whether this server has the class. */
export function isSchedulerName(name: string): name is SchedulerName {
  return Object.hasOwn(SCHEDULERS, name);
}

/** The sampler that a config names, for one run. Throws `config_invalid` for what it cannot do. */
export function createScheduler(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const name = config._class_name;
  if (!isSchedulerName(name)) {
    throw new AppError('config_invalid', `There is no sampler ${name} here; there are ${SCHEDULER_NAMES.join(', ')}.`);
  }
  return SCHEDULERS[name](config, run);
}
