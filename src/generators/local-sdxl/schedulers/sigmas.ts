import { linspace } from './spacing.ts';

/** The exponent that Karras and others 2022 (equation 5) use. */
const RHO = 7;

/** Noise levels that follow Karras and others 2022, falling from `max` to `min`. */
export function karrasSigmas(max: number, min: number, count: number): number[] {
  const from = max ** (1 / RHO);
  const to = min ** (1 / RHO);
  return linspace(0, 1, count).map((ramp) => (from + ramp * (to - from)) ** RHO);
}

/** Noise levels that fall evenly in the logarithm. */
export function exponentialSigmas(max: number, min: number, count: number): number[] {
  return linspace(Math.log(max), Math.log(min), count).map(Math.exp);
}

/** The noise level at a timestep that may be a fraction or lie outside of training: linear in between, flat outside. */
export function sigmaAt(trained: Float32Array, timestep: number): number {
  const low = Math.floor(Math.min(Math.max(timestep, 0), trained.length - 1));
  const here = trained[low] ?? 0;
  const next = trained[low + 1] ?? here;
  return timestep <= low ? here : here + (next - here) * (timestep - low);
}

/** The timestep, with its fraction, at which training had this noise level: linear in log σ, the ends held. */
export function timestepOf(sigma: number, trained: Float32Array): number {
  const wanted = Math.log(Math.max(sigma, 1e-10));
  const logAt = (index: number) => Math.fround(Math.log(trained[index] ?? 0));
  let low = 0;
  let beyond = trained.length;
  while (beyond - low > 1) {
    const middle = (low + beyond) >> 1;
    if (logAt(middle) <= wanted) low = middle;
    else beyond = middle;
  }
  low = Math.min(low, trained.length - 2);
  const share = (logAt(low) - wanted) / (logAt(low) - logAt(low + 1));
  return low + Math.min(Math.max(share, 0), 1);
}
