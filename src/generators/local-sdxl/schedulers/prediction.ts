import type { SchedulerSettings } from './config.ts';

/** How much of the sample and how much of the model's output make up another tensor. */
export interface Weights {
  readonly ofSample: number;
  readonly ofOutput: number;
}

/** A noise level of the variance-preserving form: x = alpha·image + sigma·noise, and alpha² + sigma² = 1. */
export interface Level {
  readonly alpha: number;
  readonly sigma: number;
}

/** The level whose noise is `sigma` times as strong as the image. */
export function levelOfSigma(sigma: number): Level {
  const alpha = 1 / Math.sqrt(sigma * sigma + 1);
  return { alpha, sigma: sigma * alpha };
}

/** The level at which `cumprod` (ᾱ) of the image's variance is left. */
export function levelOfCumprod(cumprod: number): Level {
  return { alpha: Math.sqrt(cumprod), sigma: Math.sqrt(1 - cumprod) };
}

/** The clean image x0 that an output implies. For v = alpha·noise − sigma·image see Salimans and Ho 2022, appendix D. */
export function originalWeights(type: SchedulerSettings['prediction_type'], { alpha, sigma }: Level): Weights {
  switch (type) {
    case 'epsilon':
      return { ofSample: 1 / alpha, ofOutput: -sigma / alpha };
    case 'v_prediction':
      return { ofSample: alpha, ofOutput: -sigma };
    case 'sample':
      return { ofSample: 0, ofOutput: 1 };
  }
}

/** The noise that an output implies. */
export function noiseWeights(type: SchedulerSettings['prediction_type'], { alpha, sigma }: Level): Weights {
  switch (type) {
    case 'epsilon':
      return { ofSample: 0, ofOutput: 1 };
    case 'v_prediction':
      return { ofSample: sigma, ofOutput: alpha };
    case 'sample':
      return { ofSample: 1 / sigma, ofOutput: -alpha / sigma };
  }
}

/** Weighs two tensors into a third, which may be one of them. Sums are in double precision. */
export function weigh(first: number, a: Float32Array, second: number, b: Float32Array, out: Float32Array): void {
  for (let i = 0; i < a.length; i += 1) out[i] = first * (a[i] ?? 0) + second * (b[i] ?? 0);
}
