import type { ControlNet } from './controlnet.ts';
import type { GraphTensor } from './graph.ts';
import type { Conditions, ControlImage, ControlInput, Unet } from './unet.ts';

/** Predicts noise for latents at a timestep, with ControlNet at `scale`. The next call may overwrite the result. */
export type DenoiserStep = (sample: Float32Array, timestep: number, scale: number) => Promise<Float32Array>;

/** The UNet with its ControlNet, whichever way they are tied. */
export interface Denoiser {
  readonly half: boolean;
  readonly takesGuidance: boolean;
  readonly takesControlImage: boolean;
  /**
   * `image` is needed where `takesControlImage`; without one of the caller's, a black one at scale 0. `onResiduals`
   * hears what a ControlNet of its own gives at each step.
   */
  prepare(conditions: Conditions, image: ControlImage | undefined, onResiduals?: OnResiduals): DenoiserStep;
}

/** Hears of the residuals of a step. */
export type OnResiduals = (residuals: readonly GraphTensor[]) => void;

/**
 * Ties a UNet and a ControlNet together. `rowByRow` has them see one row of a batch at a time, which halves the peak
 * of memory under guidance and takes a little longer.
 */
export function createDenoiser(unet: Unet, controlNet: ControlNet | undefined, rowByRow: boolean): Denoiser {
  const { half, takesGuidance, control } = unet;
  return {
    half,
    takesGuidance,
    takesControlImage: control !== 'none',
    prepare: (conditions, image, onResiduals) =>
      rowByRow ? prepareRows(conditions, image) : prepareBatch(conditions, image, onResiduals),
  };

  function prepareBatch(
    conditions: Conditions,
    image: ControlImage | undefined,
    onResiduals?: OnResiduals,
  ): DenoiserStep {
    const step = unet.prepare(conditions, image);
    const residualsAt = control === 'residuals' ? prepareResiduals(conditions, image) : undefined;
    return async (sample, timestep, scale) => {
      const residuals = await residualsAt?.(sample, timestep, scale);
      if (residuals !== undefined) onResiduals?.(residuals);
      const input: ControlInput = residuals === undefined ? { kind: 'scale', scale } : { kind: 'residuals', residuals };
      return await step(sample, timestep, input);
    };
  }

  /** At scale 0 the residuals are zeros: once their shapes are known, ControlNet need not run for them. */
  function prepareResiduals(conditions: Conditions, image: ControlImage | undefined) {
    if (controlNet === undefined || image === undefined) throw new Error('the UNet needs a ControlNet and its image');
    const step = controlNet.prepare(conditions, image);
    let nothing: readonly GraphTensor[] | undefined;
    return async (sample: Float32Array, timestep: number, scale: number) => {
      if (scale === 0 && nothing !== undefined) return nothing;
      const residuals = await step(sample, timestep, scale);
      nothing ??= residuals.map(({ type, data, dims }) => ({ type, data: zeros(data), dims }));
      return residuals;
    };
  }

  function prepareRows(conditions: Conditions, image: ControlImage | undefined): DenoiserStep {
    const { rows } = conditions;
    const steps = Array.from({ length: rows }, (_row, row) =>
      prepareBatch(
        {
          ...conditions,
          rows: 1,
          hidden: rowOf(conditions.hidden, row, rows),
          pooled: rowOf(conditions.pooled, row, rows),
          timeIds: rowOf(conditions.timeIds, row, rows),
          timestepCond: conditions.timestepCond && rowOf(conditions.timestepCond, row, rows),
        },
        image && { ...image, data: rowOf(image.data, row, rows) },
      ),
    );
    let all = new Float32Array();
    return async (sample, timestep, scale) => {
      if (all.length !== sample.length) all = new Float32Array(sample.length);
      for (const [row, step] of steps.entries()) {
        rowOf(all, row, rows).set(await step(rowOf(sample, row, rows), timestep, scale));
      }
      return all;
    };
  }
}

function rowOf(values: Float32Array, row: number, rows: number): Float32Array {
  const length = values.length / rows;
  return values.subarray(row * length, (row + 1) * length);
}

function zeros(data: GraphTensor['data']): GraphTensor['data'] {
  return data.slice().fill(0 as never);
}
