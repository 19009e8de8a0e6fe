import type { Conditions } from '../networks/unet.ts';
import type { EncodedPrompts } from './prompts.ts';

type Pair = readonly [number, number];

/** What SDXL was told of its pictures in training. Sizes are height and width, crops top and left, in pixels. */
export interface MicroConditioning {
  readonly width: number;
  readonly height: number;
  /** Default: the image's own. */
  readonly originalSize?: Pair | undefined;
  readonly targetSize?: Pair | undefined;
  /** Default: 0, 0. */
  readonly crop?: Pair | undefined;
  /** The negative ones count only when both sizes are given. */
  readonly negativeOriginalSize?: Pair | undefined;
  readonly negativeTargetSize?: Pair | undefined;
  readonly negativeCrop?: Pair | undefined;
}

/**
 * The UNet's `time_ids` for the prompt and against it. With several images the reference mixes the rows of the two
 * when they differ; here each row gets its own.
 */
export function timeIdsOf(
  request: MicroConditioning,
  imageToImage: boolean,
): { readonly positive: readonly number[]; readonly negative: readonly number[] } {
  const size = [request.height, request.width] as const;
  const crop = request.crop ?? [0, 0];
  const positive = [...(request.originalSize ?? size), ...crop, ...(request.targetSize ?? size)];
  const { negativeOriginalSize, negativeTargetSize } = request;
  if (negativeOriginalSize === undefined || negativeTargetSize === undefined) return { positive, negative: positive };
  // Image-to-image has no crop of its own for the negative side.
  const negativeCrop = imageToImage ? crop : (request.negativeCrop ?? [0, 0]);
  return { positive, negative: [...negativeOriginalSize, ...negativeCrop, ...negativeTargetSize] };
}

/** Parts of the UNet's constant inputs, for one row each. */
export interface ConditioningParts {
  readonly text: EncodedPrompts;
  readonly timeIds: ReturnType<typeof timeIdsOf>;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
  /** For a UNet that takes guidance as an input. */
  readonly guidance: number | undefined;
}

/** The UNet's constant inputs for a batch: with guidance, the rows against the prompt come first. */
export function buildConditions(parts: ConditioningParts, images: number): Conditions {
  const { text, timeIds, height, width, guidance } = parts;
  const { positive, negative } = text;
  const rows = negative === undefined ? images : 2 * images;
  return {
    rows,
    height,
    width,
    hidden: stack(negative?.hidden, positive.hidden, images),
    tokens: positive.tokens,
    pooled: stack(negative?.pooled, positive.pooled, images),
    timeIds: stack(negative && timeIds.negative, timeIds.positive, images),
    timestepCond: guidance === undefined ? undefined : stack(undefined, guidanceEmbedding(guidance), images),
  };
}

function stack(before: ArrayLike<number> | undefined, after: ArrayLike<number>, images: number): Float32Array {
  const all = new Float32Array((before === undefined ? 1 : 2) * images * after.length);
  const blocks = before === undefined ? [after] : [before, after];
  for (const [block, row] of blocks.entries()) {
    for (let image = 0; image < images; image += 1) all.set(row, (block * images + image) * after.length);
  }
  return all;
}

const EMBEDDING_WIDTH = 256;

/**
 * The guidance scale as sines and cosines, as latent consistency models take it: diffusers'
 * `get_guidance_scale_embedding`, with the roundings of its float32.
 */
export function guidanceEmbedding(guidanceScale: number): Float32Array {
  const half = EMBEDDING_WIDTH / 2;
  const weight = Math.fround((guidanceScale - 1) * 1000);
  const falling = Math.fround(Math.log(10_000) / (half - 1));
  const embedding = new Float32Array(EMBEDDING_WIDTH);
  for (let i = 0; i < half; i += 1) {
    const frequency = Math.fround(Math.exp(Math.fround(i * -falling)));
    const phase = Math.fround(weight * frequency);
    embedding[i] = Math.sin(phase);
    embedding[half + i] = Math.cos(phase);
  }
  return embedding;
}
