/** ControlNet's part of a run. */
export interface ControlRange {
  readonly scale: number;
  /** Shares of the steps that run, 0 to 1. */
  readonly start: number;
  readonly end: number;
}

/** ControlNet's scale at the step `index` of `steps` that run: 0 outside of its range, as diffusers' `controlnet_keep`. */
export function controlScaleAt({ scale, start, end }: ControlRange, index: number, steps: number): number {
  return index / steps < start || (index + 1) / steps > end ? 0 : scale;
}
