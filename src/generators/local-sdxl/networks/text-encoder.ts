import type { NamedGraph } from './bind.ts';
import { createFeed, needInput, refuseOtherInputs, toNumbers, unfit } from './bind.ts';

/** What a text encoder makes of one text. */
export interface TextEncoding {
  /** One vector of `width` numbers a token. */
  readonly hidden: Float32Array;
  readonly width: number;
  /** The text as one vector; only the second encoder has one. */
  readonly pooled: Float32Array | undefined;
}

/** A CLIP text encoder. */
export interface TextEncoder {
  /** Encodes token ids; takes the hidden state before the last one, or `skip` layers further down. */
  encode(ids: ArrayLike<number>, skip: number): Promise<TextEncoding>;
}

/** Binds a graph with `hidden_states.0` to `.N`, or with one `hidden_states` that has its layer chosen already. */
export function bindTextEncoder(named: NamedGraph): TextEncoder {
  const ids = needInput(named, ['input_ids']);
  refuseOtherInputs(named, [ids]);
  const feed = createFeed(named, ids);
  const names = named.graph.outputs.map(({ name }) => name);
  const states = names
    .filter((name) => /^hidden_states\.\d+$/.test(name))
    .sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1]));
  // The first encoder has a `pooler_output` too; SDXL takes the projection of the second one and no other.
  const pooledName = names.find(
    (name) => name === 'text_embeds' || (name === 'text_embeddings' && isVector(named, name)),
  );

  function stateOf(skip: number): string {
    if (states.length === 0) {
      if (names.includes('hidden_states') && skip === 0) return 'hidden_states';
      throw unfit(
        named,
        `gives no hidden states${skip === 0 ? '' : ' to choose clip_skip among'}: export it with --task text-to-image`,
      );
    }
    const state = states[states.length - 2 - skip];
    if (state === undefined) throw unfit(named, `has ${states.length} hidden states, too few for clip_skip = ${skip}`);
    return state;
  }

  stateOf(0);
  return {
    async encode(tokens, skip) {
      const name = stateOf(skip);
      const wanted = pooledName === undefined ? [name] : [name, pooledName];
      const results = await named.graph.run(
        { [ids.name]: feed(Float32Array.from(tokens), [1, tokens.length]) },
        wanted,
      );
      const hidden = results[name];
      const pooled = pooledName === undefined ? undefined : results[pooledName];
      if (hidden === undefined) throw new Error(`${named.component} gave no ${name}`);
      return {
        hidden: toNumbers(hidden),
        width: hidden.dims.at(-1) ?? 0,
        pooled: pooled === undefined ? undefined : toNumbers(pooled),
      };
    },
  };
}

function isVector({ graph }: NamedGraph, name: string): boolean {
  return graph.outputs.find((output) => output.name === name)?.shape.length === 2;
}
