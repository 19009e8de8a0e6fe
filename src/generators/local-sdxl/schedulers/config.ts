import { z } from 'zod';
import { AppError } from '../../../errors.ts';

/** JSON has no infinity, diffusers writes it bare, and other tools quote it. */
const numberOrInfinity = z.union([z.number(), z.literal('-Infinity').transform(() => Number.NEGATIVE_INFINITY)]);

/**
 * The keys of diffusers' schedulers that change a result here. Their names are diffusers', but `timesteps` is an argument
 * there: a list in place of the schedule.
 */
const schema = z.object({
  _class_name: z.string(),
  num_train_timesteps: z.int().min(2).max(100_000).exactOptional(),
  beta_start: z.number().positive().lt(1).exactOptional(),
  beta_end: z.number().positive().lt(1).exactOptional(),
  beta_schedule: z.enum(['linear', 'scaled_linear', 'squaredcos_cap_v2']).exactOptional(),
  trained_betas: z.array(z.number().positive().lt(1)).min(2).nullable().exactOptional(),
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']).exactOptional(),
  timestep_spacing: z.enum(['linspace', 'leading', 'trailing']).exactOptional(),
  timestep_type: z.enum(['discrete', 'continuous']).exactOptional(),
  steps_offset: z.int().min(0).exactOptional(),
  rescale_betas_zero_snr: z.boolean().exactOptional(),
  interpolation_type: z.enum(['linear', 'log_linear']).exactOptional(),
  use_karras_sigmas: z.boolean().nullable().exactOptional(),
  use_exponential_sigmas: z.boolean().nullable().exactOptional(),
  use_beta_sigmas: z.boolean().nullable().exactOptional(),
  use_flow_sigmas: z.boolean().nullable().exactOptional(),
  use_lu_lambdas: z.boolean().nullable().exactOptional(),
  sigma_min: z.number().positive().nullable().exactOptional(),
  sigma_max: z.number().positive().nullable().exactOptional(),
  final_sigmas_type: z.enum(['zero', 'sigma_min']).exactOptional(),
  lambda_min_clipped: numberOrInfinity.exactOptional(),
  algorithm_type: z.enum(['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++']).exactOptional(),
  solver_order: z.int().min(1).max(3).exactOptional(),
  solver_type: z.enum(['midpoint', 'heun', 'logrho', 'bh1', 'bh2']).exactOptional(),
  lower_order_final: z.boolean().exactOptional(),
  euler_at_final: z.boolean().exactOptional(),
  predict_x0: z.boolean().exactOptional(),
  disable_corrector: z.array(z.int()).exactOptional(),
  solver_p: z.null().exactOptional(),
  thresholding: z.boolean().exactOptional(),
  clip_sample: z.boolean().exactOptional(),
  clip_sample_range: z.number().positive().exactOptional(),
  set_alpha_to_one: z.boolean().exactOptional(),
  original_inference_steps: z.int().positive().exactOptional(),
  timestep_scaling: z.number().positive().exactOptional(),
  timesteps: z.array(z.int().min(0)).min(1).nullable().exactOptional(),
});

/** A `scheduler_config.json`: the class's name and the keys that were written. Missing ones take the *class's* default. */
export type SchedulerConfig = z.output<typeof schema>;

/** All settings, with a class's defaults where the file says nothing. */
export type SchedulerSettings = Required<Omit<SchedulerConfig, '_class_name'>>;

/** What most classes share when a file says nothing: not SDXL's values, which every SDXL config spells out. */
const COMMON: SchedulerSettings = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
  trained_betas: null,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  timestep_type: 'discrete',
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  interpolation_type: 'linear',
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  use_flow_sigmas: false,
  use_lu_lambdas: false,
  sigma_min: null,
  sigma_max: null,
  final_sigmas_type: 'zero',
  lambda_min_clipped: Number.NEGATIVE_INFINITY,
  algorithm_type: 'dpmsolver++',
  solver_order: 2,
  solver_type: 'midpoint',
  lower_order_final: true,
  euler_at_final: false,
  predict_x0: true,
  disable_corrector: [],
  solver_p: null,
  thresholding: false,
  clip_sample: false,
  clip_sample_range: 1,
  set_alpha_to_one: true,
  original_inference_steps: 50,
  timestep_scaling: 10,
  timesteps: null,
};

/** Reads the text of a `scheduler_config.json`, bare `-Infinity` included, and applies `overrides` to its keys. */
export function parseSchedulerConfig(text: string, overrides: Readonly<Record<string, unknown>> = {}): SchedulerConfig {
  // Strings are matched first and kept, so that only bare words change.
  const strict = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
  let json: unknown;
  try {
    json = JSON.parse(strict);
  } catch (cause) {
    throw new AppError('config_invalid', 'scheduler_config.json is not JSON.', { cause });
  }
  const object = z.record(z.string(), z.unknown()).safeParse(json);
  const parsed = schema.safeParse(object.success ? { ...object.data, ...overrides } : json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError('config_invalid', `scheduler_config.json: ${issue?.path.join('.')}: ${issue?.message}.`);
}

/** The settings of a config whose class has these defaults beside the common ones. */
export function settingsOf(config: SchedulerConfig, defaults: Partial<SchedulerSettings> = {}): SchedulerSettings {
  const { _class_name, ...written } = config;
  const settings = { ...COMMON, ...defaults, ...written };
  if (settings.thresholding) refuse(config, 'thresholding', 'it is for pixels, not for latents');
  if (settings.trained_betas !== null) settings.num_train_timesteps = settings.trained_betas.length;
  return settings;
}

/** Throws: this class of this server has not the setting. */
export function refuse(config: SchedulerConfig, key: keyof SchedulerSettings, reason: string): never {
  throw new AppError('config_invalid', `${config._class_name}: ${key} is not supported here: ${reason}.`);
}
