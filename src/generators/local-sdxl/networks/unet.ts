import type { NamedGraph } from './bind.ts';
import { createFeed, elementType, findInput, needInput, onlyOutput, scalarDims, toNumbers, unfit } from './bind.ts';
import type { GraphTensor, TensorInfo } from './graph.ts';

/** What stays the same over the steps of a batch. With guidance, rows without the prompt come first. */
export interface Conditions {
  readonly rows: number;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
  /** [rows, tokens, width]. */
  readonly hidden: Float32Array;
  readonly tokens: number;
  /** [rows, width]. */
  readonly pooled: Float32Array;
  /** [rows, 6]. */
  readonly timeIds: Float32Array;
  /** [rows, 256], for UNets that take guidance as an input. */
  readonly timestepCond?: Float32Array | undefined;
}

/** What ControlNet sees, for UNets that have it inside: [rows, 3, 8 · height, 8 · width], from 0 to 1. */
export interface ControlImage {
  readonly data: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** ControlNet's part in one step. */
export type ControlInput =
  | { readonly kind: 'scale'; readonly scale: number }
  | { readonly kind: 'residuals'; readonly residuals: readonly GraphTensor[] };

/** Predicts noise for latents [rows, 4, h, w] at a timestep. What it returns may be overwritten by the next call. */
export type UnetStep = (
  sample: Float32Array,
  timestep: number,
  control: ControlInput | undefined,
) => Promise<Float32Array>;

/** SDXL's UNet. */
export interface Unet {
  /** Whether it computes in half precision. */
  readonly half: boolean;
  /** Whether it takes guidance as an input, as models distilled for latent consistency do. */
  readonly takesGuidance: boolean;
  /** How ControlNet gets in: not at all, as a part of the graph, or by the residuals of a graph of its own. */
  readonly control: 'none' | 'merged' | 'residuals';
  /** Prepares the constant inputs once for all steps. */
  prepare(conditions: Conditions, image: ControlImage | undefined): UnetStep;
}

const GUIDANCE = ['timestep_cond'];
const CONTROL_IMAGES = ['controlnet_images', 'controlnet_conds'];
const CONTROL_SCALES = ['controlnet_scales', 'conditioning_scales'];
const CHANNELS = 4;

/** Binds a UNet by the names, ranks and types of its inputs. Throws `config_invalid` for a graph that is none. */
export function bindUnet(named: NamedGraph): Unet {
  const sample = needInput(named, ['sample']);
  const timestep = needInput(named, ['timestep']);
  const hidden = needInput(named, ['encoder_hidden_states']);
  const pooled = needInput(named, ['text_embeds']);
  const timeIds = needInput(named, ['time_ids']);
  const guidance = findInput(named, GUIDANCE);
  const images = findInput(named, CONTROL_IMAGES);
  const scales = findInput(named, CONTROL_SCALES);
  const known = [sample, timestep, hidden, pooled, timeIds, guidance, images, scales];
  const residuals = named.graph.inputs.filter((input) => !known.includes(input));
  const output = onlyOutput(named);

  if (timeIds.shape[1] === 5) throw unfit(named, 'is a refiner’s; only base models can be rendered with');
  if ((images === undefined) !== (scales === undefined)) throw unfit(named, 'has only one of ControlNet’s inputs');
  if (typeof images?.shape[0] === 'number' && images.shape[0] !== 1) {
    throw unfit(named, `holds ${images.shape[0]} ControlNets; one can be used`);
  }
  if (residuals.length > 0 && !residuals.every(({ name }) => /residual/.test(name))) {
    const names = residuals.map(({ name }) => name).join(', ');
    throw unfit(named, `wants inputs that are not known here: ${names}`);
  }

  return {
    half: elementType(named, sample) === 'float16',
    takesGuidance: guidance !== undefined,
    control: images !== undefined ? 'merged' : residuals.length > 0 ? 'residuals' : 'none',

    prepare(conditions, image) {
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
        ...(guidance === undefined
          ? {}
          : constant(guidance, needed(conditions.timestepCond), [rows, needed(conditions.timestepCond).length / rows])),
        ...(images === undefined
          ? {}
          : constant(images, needed(image).data, [1, rows, 3, needed(image).height, needed(image).width])),
      };
      const feedSample = createFeed(named, sample);
      const feedTimestep = createFeed(named, timestep);
      const feedScale = scales === undefined ? undefined : { input: scales, feed: createFeed(named, scales) };
      const feedResiduals = residuals.map((input) => ({ input, feed: createFeed(named, input) }));
      const numbers = new Float32Array(rows * CHANNELS * height * width);

      return async (latents, time, control) => {
        const feeds: Record<string, GraphTensor> = {
          ...fixed,
          [sample.name]: feedSample(latents, [rows, CHANNELS, height, width]),
          [timestep.name]: feedTimestep(Float32Array.of(time), scalarDims(timestep)),
        };
        if (feedScale !== undefined) {
          feeds[feedScale.input.name] = feedScale.feed(
            Float32Array.of(control?.kind === 'scale' ? control.scale : 0),
            [1],
          );
        }
        for (const [index, { input, feed }] of feedResiduals.entries()) {
          const residual = needed(control?.kind === 'residuals' ? control.residuals[index] : undefined);
          feeds[input.name] = residual.type === input.type ? residual : feed(toNumbers(residual), residual.dims);
        }
        const results = await named.graph.run(feeds, [output.name]);
        return toNumbers(needed(results[output.name]), numbers);
      };
    },
  };
}

function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the UNet was called without an input that it has');
  return value;
}
