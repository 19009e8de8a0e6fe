import type { SchedulerConfig, SchedulerSettings } from './config.ts';
import { refuse, settingsOf } from './config.ts';
import { positiveAlphasCumprod, sigmasOf } from './noise-schedule.ts';
import type { Level } from './prediction.ts';
import { levelOfSigma } from './prediction.ts';
import { exponentialSigmas, karrasSigmas, sigmaAt, timestepOf } from './sigmas.ts';
import { multistepTimesteps, roundHalfEven } from './spacing.ts';

/** A noise level with λ = ln(alpha/sigma), half its log signal-to-noise ratio; +∞ where there is no noise. */
export interface SnrLevel extends Level {
  readonly lambda: number;
}

/** The schedule of a multistep solver. */
export interface MultistepSchedule {
  readonly timesteps: Float32Array;
  readonly sigmas: Float32Array;
  /** The level of each sigma. Before the first there is none, and nothing asks for it: no order reaches so far back. */
  readonly levelAt: (index: number) => SnrLevel;
}

/** What DPM-Solver++ and UniPC differ in. */
interface MultistepOptions {
  /** One above the largest timestep in use. */
  readonly lastTimestep: number;
  /** The final sigma, given those before it and the smallest one of training, for `final_sigmas_type: sigma_min`. */
  readonly finalSigma: (sigmas: readonly number[], trainedMin: number) => number;
}

/** Settings of a multistep solver; throws for the sigmas that neither has. */
export function multistepSettings(config: SchedulerConfig): SchedulerSettings {
  const settings = settingsOf(config);
  if (settings.use_beta_sigmas) refuse(config, 'use_beta_sigmas', 'choose Karras sigmas');
  if (settings.use_flow_sigmas) refuse(config, 'use_flow_sigmas', 'SDXL is no flow-matching model');
  return settings;
}

/** σ of every training timestep. */
export function trainedSigmas(settings: SchedulerSettings): Float32Array {
  return sigmasOf(positiveAlphasCumprod(settings));
}

/** Timesteps, sigmas and levels. Respaced sigmas span the whole training range, unlike Euler's. */
export function multistepSchedule(
  settings: SchedulerSettings,
  steps: number,
  trained: Float32Array,
  { lastTimestep, finalSigma }: MultistepOptions,
): MultistepSchedule {
  const spaced = multistepTimesteps(settings, steps, lastTimestep);
  const respaced = respacedSigmas(settings, steps, trained);
  const levels = respaced ?? spaced.map((timestep) => sigmaAt(trained, timestep));
  const timesteps = respaced?.map((sigma) => wholeTimestep(settings, timestepOf(sigma, trained))) ?? spaced;
  const last = settings.final_sigmas_type === 'sigma_min' ? finalSigma(levels, trained[0] ?? 0) : 0;
  const sigmas = Float32Array.from([...levels, last]);
  const known = Array.from(sigmas, snrLevel);
  const levelAt = (index: number) => known[index] ?? snrLevel(0);
  return { timesteps: Float32Array.from(timesteps), sigmas, levelAt };
}

/** Sigmas of their own spacing, where the settings ask for one. Lu's is even in λ, which is even in ln σ. */
function respacedSigmas(settings: SchedulerSettings, steps: number, trained: Float32Array): number[] | undefined {
  const min = settings.sigma_min ?? trained[0] ?? 0;
  const max = settings.sigma_max ?? trained.at(-1) ?? 0;
  if (settings.use_karras_sigmas) return karrasSigmas(max, min, steps);
  if (settings.use_lu_lambdas || settings.use_exponential_sigmas) return exponentialSigmas(max, min, steps);
  return undefined;
}

/** Rounded, but cut where the reference cuts: exponential sigmas, and cosine schedules, whose sigmas lie too close. */
function wholeTimestep(settings: SchedulerSettings, timestep: number): number {
  const isRounded = settings.use_karras_sigmas || settings.use_lu_lambdas;
  return isRounded && settings.beta_schedule !== 'squaredcos_cap_v2' ? roundHalfEven(timestep) : Math.trunc(timestep);
}

function snrLevel(sigma: number): SnrLevel {
  return { ...levelOfSigma(sigma), lambda: -Math.log(sigma) };
}
