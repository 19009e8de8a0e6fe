import type { SchedulerConfig } from './config.ts';

/** What a scheduler needs to know of one run. */
export interface SchedulerRun {
  /** Steps as asked for. The schedule may differ by one: NumPy's ranges do, and so do ours. */
  readonly steps: number;
  /** Elements of the latents of the whole batch. */
  readonly size: number;
  /** Index of the first timestep that runs; above 0 when an image is the start. Default 0. */
  readonly beginIndex?: number;
  /** Share of fresh noise, 0 to 1, in DDIM and TCD; the others ignore it. Default 0, as in diffusers' SDXL pipelines. */
  readonly eta?: number;
}

/** The tensors of a step. They stay the same objects for a whole run, so a step allocates nothing. */
export interface StepTensors {
  /** Latents before the step. */
  readonly sample: Float32Array;
  /** What the model said of them, after guidance. */
  readonly modelOutput: Float32Array;
  /** Fresh Gaussian noise; read only where `drawsNoise` says so. */
  readonly noise: Float32Array;
  /** Latents after the step; may be `sample` itself. */
  readonly out: Float32Array;
}

/** One run of a sampler: made for it, stepped from `beginIndex` upwards, then dropped. */
export interface Scheduler {
  /** All timesteps of the schedule, falling, as the UNet gets them: with Euler they may be fractions. */
  readonly timesteps: Float32Array;
  /** Noise levels, one more than timesteps, the final one included; absent where a sampler works from timesteps alone. */
  readonly sigmas: Float32Array | undefined;
  /** Index of the first timestep that runs. */
  readonly beginIndex: number;
  /** Factor on the initial noise, when no image is the start. */
  readonly initNoiseSigma: number;
  /** Whether the step at `index` takes a draw of noise. Draw even where its weight is 0: later draws depend on it. */
  drawsNoise(index: number): boolean;
  /** What the UNet gets in place of `sample` at `index`. `out` may be `sample`, or the rows of a larger batch. */
  scaleModelInput(index: number, sample: Float32Array, out: Float32Array): void;
  /** The step from `timesteps[index]` to the next. */
  step(index: number, tensors: StepTensors): void;
  /** The clean latents that the model's output at `index` implies: what a preview shows. */
  predictOriginal(index: number, sample: Float32Array, modelOutput: Float32Array, out: Float32Array): void;
  /** Brings clean latents to the noise level of `index`. `out` may be `clean`. */
  addNoise(index: number, clean: Float32Array, noise: Float32Array, out: Float32Array): void;
}

/** Makes the scheduler of one class. Throws an `AppError` for settings or steps that the class cannot do. */
export type SchedulerFactory = (config: SchedulerConfig, run: SchedulerRun) => Scheduler;
