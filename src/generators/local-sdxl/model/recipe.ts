import type { SchedulerConfig } from '../schedulers/config.ts';
import type { ModelFolder } from './model-folder.ts';

/** The kinds of SDXL models, by how they are sampled. */
export const PRESETS = ['base', 'turbo', 'lightning', 'lcm', 'hyper'] as const;
/** A name of `PRESETS`. */
export type Preset = (typeof PRESETS)[number];

/** How a model wants to be sampled when nobody says otherwise. */
export interface Recipe {
  readonly preset: Preset;
  readonly steps: number;
  /** Above 1 there are two passes of the UNet a step, unless the UNet takes guidance as an input. */
  readonly guidanceScale: number;
  /** Of image-to-image: how much of the reference image is drawn anew, 0 to 1. */
  readonly strength: number;
  /** `eta` of DDIM and TCD. */
  readonly eta: number;
  /** The export's own configuration, with what the recipe changes. */
  readonly scheduler: SchedulerConfig;
}

type Defaults = Pick<Recipe, 'steps' | 'guidanceScale' | 'strength' | 'eta'>;

/** The settings of the model cards; diffusers' own defaults for the base model, but 30 steps instead of 50. */
const DEFAULTS: Readonly<Record<Preset, Defaults>> = {
  base: { steps: 30, guidanceScale: 5, strength: 0.3, eta: 0 },
  turbo: { steps: 4, guidanceScale: 0, strength: 0.5, eta: 0 },
  lightning: { steps: 4, guidanceScale: 0, strength: 0.5, eta: 0 },
  lcm: { steps: 4, guidanceScale: 8, strength: 0.5, eta: 0 },
  hyper: { steps: 4, guidanceScale: 0, strength: 0.5, eta: 0 },
};

/** Guidance of an LCM LoRA merged into an ordinary UNet: the one that takes it as an input wants 8. */
const MERGED_LCM_GUIDANCE = 1.5;
/** Hyper-SD's unified LoRA with TCD is made for this. */
const HYPER_TCD_ETA = 1;

/** What each kind needs of its scheduler; the base model's export says everything itself. */
const SCHEDULERS: Readonly<Record<Preset, Partial<SchedulerConfig>>> = {
  base: {},
  turbo: { _class_name: 'EulerAncestralDiscreteScheduler', timestep_spacing: 'trailing' },
  lightning: { _class_name: 'EulerDiscreteScheduler', timestep_spacing: 'trailing' },
  lcm: { _class_name: 'LCMScheduler' },
  hyper: { _class_name: 'DDIMScheduler', timestep_spacing: 'trailing' },
};

/**
 * What the models for a single step need, which are others than those for more: Lightning's predicts the image instead
 * of noise, and Hyper-SD's UNet starts from timestep 800.
 */
const ONE_STEP: Readonly<Partial<Record<Preset, Partial<SchedulerConfig>>>> = {
  lightning: { prediction_type: 'sample' },
  hyper: { _class_name: 'LCMScheduler', timesteps: [800] },
};

/**
 * The recipe of a model: that of `preset`, or, when that is `auto`, the one its export gives away. `steps` is what
 * the operator chose; 1 means the kind's model for one step.
 */
export function recipeOf(model: ModelFolder, preset: Preset | 'auto', steps?: number): Recipe {
  const kind = preset === 'auto' ? recognise(model) : preset;
  const defaults = { ...DEFAULTS[kind], ...(steps === undefined ? {} : { steps }) };
  const keepsTcd = kind === 'hyper' && model.scheduler._class_name === 'TCDScheduler';
  const oneStep = steps === 1 ? ONE_STEP[kind] : {};
  return {
    preset: kind,
    ...defaults,
    ...(kind === 'lcm' && !model.takesGuidance ? { guidanceScale: MERGED_LCM_GUIDANCE } : {}),
    ...(keepsTcd ? { eta: HYPER_TCD_ETA } : {}),
    scheduler: keepsTcd ? model.scheduler : { ...model.scheduler, ...SCHEDULERS[kind], ...oneStep },
  };
}

/** Names of repositories say it best; else the scheduler that the export was saved with does. */
function recognise({ origin, scheduler, takesGuidance }: ModelFolder): Preset {
  const named = PRESETS.find((preset) => preset !== 'base' && origin.toLowerCase().includes(preset));
  if (named !== undefined) return named;
  const trailing = scheduler.timestep_spacing === 'trailing';
  if (takesGuidance || scheduler._class_name === 'LCMScheduler') return 'lcm';
  if (scheduler._class_name === 'TCDScheduler') return 'hyper';
  if (scheduler._class_name === 'EulerAncestralDiscreteScheduler' && trailing) return 'turbo';
  // Zero-SNR models of many steps are spaced so as well.
  if (!trailing || scheduler.rescale_betas_zero_snr === true) return 'base';
  if (scheduler._class_name === 'EulerDiscreteScheduler') return 'lightning';
  return scheduler._class_name === 'DDIMScheduler' ? 'hyper' : 'base';
}
