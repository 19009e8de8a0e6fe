import type { TextEncoder } from '../networks/text-encoder.ts';
import type { Tap } from './pipeline.ts';

/** The words of a request. */
export interface Prompts {
  readonly prompt: string;
  /** For the second encoder; the prompt when undefined. */
  readonly prompt2?: string | undefined;
  /** Undefined is not the same as an empty text: see `forceZeros`. */
  readonly negativePrompt?: string | undefined;
  readonly negativePrompt2?: string | undefined;
  /** How many more of the encoders' last layers are left out. */
  readonly clipSkip?: number | undefined;
}

/** What the UNet hears of a text. */
export interface PromptEmbedding {
  /** Both encoders' hidden states side by side: [tokens, width]. */
  readonly hidden: Float32Array;
  readonly tokens: number;
  readonly pooled: Float32Array;
}

/** Both texts' embeddings; without guidance there is no negative one. */
export interface EncodedPrompts {
  readonly positive: PromptEmbedding;
  readonly negative: PromptEmbedding | undefined;
}

/** What texts are encoded with. */
export interface PromptEncoders {
  readonly encoders: readonly [TextEncoder, TextEncoder];
  readonly tokenize: readonly [Tokenize, Tokenize];
  /** Whether no negative prompt at all means zeros. */
  readonly forceZeros: boolean;
}

/** Token ids of a text: cut and padded to the encoder's length. */
export type Tokenize = (text: string) => ArrayLike<number>;

/** Encodes the texts of a request, after `encode_prompt` of diffusers' `pipeline_stable_diffusion_xl.py`. */
export async function encodePrompts(
  parts: PromptEncoders,
  request: Prompts,
  { guided, tap }: { readonly guided: boolean; readonly tap?: Tap | undefined },
): Promise<EncodedPrompts> {
  const texts = [request.prompt, request.prompt2 ?? request.prompt] as const;
  const positive = await encode(parts, texts, request.clipSkip ?? 0, { tap, prefix: '' });
  if (!guided) return { positive, negative: undefined };

  // As the reference does, the negative text is taken from the layer before the last whatever `clipSkip` says.
  const negativeTexts = [
    request.negativePrompt ?? '',
    request.negativePrompt2 ?? request.negativePrompt ?? '',
  ] as const;
  const options = { tap, prefix: 'negative_' } as const;
  const zeros = request.negativePrompt === undefined && parts.forceZeros;
  const negative = zeros ? silence(positive, options) : await encode(parts, negativeTexts, 0, options);
  return { positive, negative };
}

interface Tapping {
  readonly tap?: Tap | undefined;
  readonly prefix: '' | 'negative_';
}

async function encode(
  { encoders, tokenize }: PromptEncoders,
  [first, second]: readonly [string, string],
  skip: number,
  { tap, prefix }: Tapping,
): Promise<PromptEmbedding> {
  const ids = [tokenize[0](first), tokenize[1](second)] as const;
  tap?.(`${prefix}input_ids`, ids[0]);
  tap?.(`${prefix}input_ids_2`, ids[1]);
  const left = await encoders[0].encode(ids[0], skip);
  const right = await encoders[1].encode(ids[1], skip);
  if (right.pooled === undefined) throw new Error('the second text encoder gave no pooled text');
  const tokens = ids[0].length;
  return tapped({ hidden: sideBySide(left, right, tokens), tokens, pooled: right.pooled }, { tap, prefix });
}

function silence({ hidden, tokens, pooled }: PromptEmbedding, tapping: Tapping): PromptEmbedding {
  const zeros = { hidden: new Float32Array(hidden.length), tokens, pooled: new Float32Array(pooled.length) };
  return tapped(zeros, tapping);
}

function tapped(embedding: PromptEmbedding, { tap, prefix }: Tapping): PromptEmbedding {
  tap?.(`${prefix}prompt_embeds`, embedding.hidden);
  tap?.(`${prefix}pooled_prompt_embeds`, embedding.pooled);
  return embedding;
}

type States = { readonly hidden: Float32Array; readonly width: number };

function sideBySide(left: States, right: States, tokens: number): Float32Array {
  const width = left.width + right.width;
  const all = new Float32Array(tokens * width);
  for (let token = 0; token < tokens; token += 1) {
    all.set(left.hidden.subarray(token * left.width, (token + 1) * left.width), token * width);
    all.set(right.hidden.subarray(token * right.width, (token + 1) * right.width), token * width + left.width);
  }
  return all;
}
