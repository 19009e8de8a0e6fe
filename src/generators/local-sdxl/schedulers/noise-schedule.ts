import type { SchedulerSettings } from './config.ts';

const { fround } = Math;

/**
 * ᾱ at each training timestep: the share of the image's variance that is left.
 *
 * The reference computes it in float32 tensors, and samplers amplify a last bit of it, so every rounding of PyTorch is
 * repeated here: `linspace` from both ends, one rounding per operation, and a running product in double precision.
 */
export function alphasCumprod(settings: SchedulerSettings): Float32Array {
  const betas = betasOf(settings);
  return cumulativeProduct(settings.rescale_betas_zero_snr ? rescaleZeroTerminalSnr(betas) : betas);
}

/** As `alphasCumprod`, for samplers that divide by ᾱ: where it would end at 0 it ends at float16's smallest number. */
export function positiveAlphasCumprod(settings: SchedulerSettings): Float32Array {
  const alphas = alphasCumprod(settings);
  if (settings.rescale_betas_zero_snr) alphas[alphas.length - 1] = 2 ** -24;
  return alphas;
}

/** σ = √((1−ᾱ)/ᾱ): the noise's standard deviation where the image's is 1. */
export function sigmasOf(alphas: Float32Array): Float32Array {
  return alphas.map((alpha) => Math.sqrt(fround(fround(1 - alpha) / alpha)));
}

function betasOf(settings: SchedulerSettings): Float32Array {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = settings;
  if (settings.trained_betas !== null) return Float32Array.from(settings.trained_betas);
  switch (settings.beta_schedule) {
    case 'linear':
      return linspaceFloat32(start, end, count);
    case 'scaled_linear':
      return linspaceFloat32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return cosineBetas(count);
  }
}

/** `torch.linspace` in float32: the second half counts back from the end. */
function linspaceFloat32(from: number, to: number, count: number): Float32Array {
  const start = fround(from);
  const end = fround(to);
  const step = fround(fround(end - start) / (count - 1));
  const half = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) => (i < half ? start + step * i : end - step * (count - 1 - i)));
}

/** Nichol and Dhariwal 2021, equation 17, capped at 0.999. */
function cosineBetas(count: number): Float32Array {
  const left = (t: number) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return Float32Array.from({ length: count }, (_, i) => Math.min(1 - left((i + 1) / count) / left(i / count), 0.999));
}

function cumulativeProduct(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= fround(1 - beta);
    return product;
  });
}

/** Lin and others 2023, algorithm 1: √ᾱ is shifted to end at 0 and scaled to begin where it did. */
function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeProduct(betas).map(Math.sqrt);
  const first = roots[0] ?? 0;
  const last = roots.at(-1) ?? 0;
  const scale = fround(first / fround(first - last));
  const bars = roots.map((root) => fround(fround(root - last) * scale) ** 2);
  return bars.map((bar, i) => 1 - fround(i === 0 ? bar : bar / (bars[i - 1] ?? 1)));
}
