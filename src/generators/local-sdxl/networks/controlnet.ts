import type { NamedGraph } from './bind.ts';
import { createFeed, needInput, refuseOtherInputs, scalarDims, unfit } from './bind.ts';
import type { GraphTensor, TensorInfo } from './graph.ts';
import type { Conditions, ControlImage } from './unet.ts';

/** Gives the UNet's residuals for latents at a timestep, times `scale`; always in the same order. */
export type ControlNetStep = (sample: Float32Array, timestep: number, scale: number) => Promise<readonly GraphTensor[]>;

/** A ControlNet that is a graph of its own. */
export interface ControlNet {
  /** How many residuals it gives. */
  readonly residuals: number;
  /** Prepares the constant inputs once for all steps. */
  prepare(conditions: Conditions, image: ControlImage): ControlNetStep;
}

/** Binds a ControlNet; its outputs are the residuals of the way down, and that of the middle as the last. */
export function bindControlNet(named: NamedGraph): ControlNet {
  const sample = needInput(named, ['sample']);
  const timestep = needInput(named, ['timestep']);
  const hidden = needInput(named, ['encoder_hidden_states']);
  const pooled = needInput(named, ['text_embeds']);
  const timeIds = needInput(named, ['time_ids']);
  const image = needInput(named, ['controlnet_cond']);
  const strength = needInput(named, ['conditioning_scale']);
  refuseOtherInputs(named, [sample, timestep, hidden, pooled, timeIds, image, strength]);
  const outputs = named.graph.outputs.map(({ name }) => name);
  if (outputs.length < 2) throw unfit(named, 'gives no residuals');

  return {
    residuals: outputs.length,
    prepare(conditions, picture) {
      const { rows, height, width } = conditions;
      const constant = (input: TensorInfo, values: Float32Array, dims: readonly number[]) => ({
        [input.name]: createFeed(named, input)(values, dims),
      });
      const fixed = {
        ...constant(hidden, conditions.hidden, [
          rows,
          conditions.tokens,
          conditions.hidden.length / (rows * conditions.tokens),
        ]),
        ...constant(pooled, conditions.pooled, [rows, conditions.pooled.length / rows]),
        ...constant(timeIds, conditions.timeIds, [rows, conditions.timeIds.length / rows]),
        ...constant(image, picture.data, [rows, 3, picture.height, picture.width]),
      };
      const feedSample = createFeed(named, sample);
      const feedTimestep = createFeed(named, timestep);
      const feedStrength = createFeed(named, strength);
      return async (latents, time, scale) => {
        const feeds = {
          ...fixed,
          [sample.name]: feedSample(latents, [rows, 4, height, width]),
          [timestep.name]: feedTimestep(Float32Array.of(time), scalarDims(timestep)),
          [strength.name]: feedStrength(Float32Array.of(scale), scalarDims(strength)),
        };
        const results = await named.graph.run(feeds, outputs);
        return outputs.map((name) => {
          const residual = results[name];
          if (residual === undefined) throw new Error(`ControlNet gave no ${name}`);
          return residual;
        });
      };
    },
  };
}
