import type { NamedGraph } from './bind.ts';
import { createFeed, elementType, onlyInput, onlyOutput, toNumbers, unfit } from './bind.ts';

/** Numbers of a batch, channel by channel. */
export interface Planes {
  readonly data: Float32Array;
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** The VAE's way from latents to pixels. */
export interface VaeDecoder {
  /** Whether it computes in half precision, in which SDXL's own VAE overflows. */
  readonly half: boolean;
  /** Pixels from −1 to 1, [B, 3, H, W]. */
  decode(latents: Planes): Promise<Planes>;
}

/** The VAE's way from pixels to latents. */
export interface VaeEncoder {
  /** `moments`: mean and log-variance, 8 channels. `sample`: drawn inside the graph, 4 channels, never twice the same. */
  readonly gives: 'moments' | 'sample';
  encode(pixels: Planes): Promise<Planes>;
}

/** Binds a graph with one input and one output, of any names. */
export function bindVaeDecoder(named: NamedGraph): VaeDecoder {
  const { run, half } = bindPlanes(named);
  return { half, decode: run };
}

/** Binds a graph with one input and one output; the output's name or channels say what it is. */
export function bindVaeEncoder(named: NamedGraph): VaeEncoder {
  const { name, shape } = onlyOutput(named);
  const moments = name === 'latent_parameters' || shape[1] === 8;
  return { gives: moments ? 'moments' : 'sample', encode: bindPlanes(named).run };
}

function bindPlanes(named: NamedGraph) {
  const input = onlyInput(named);
  const output = onlyOutput(named);
  const feed = createFeed(named, input);
  return {
    half: elementType(named, input) === 'float16',
    async run({ data, batch, channels, height, width }: Planes): Promise<Planes> {
      const results = await named.graph.run({ [input.name]: feed(data, [batch, channels, height, width]) }, [
        output.name,
      ]);
      const result = results[output.name];
      const [images, planes, rows, columns] = result?.dims ?? [];
      if (
        result === undefined ||
        images === undefined ||
        planes === undefined ||
        rows === undefined ||
        columns === undefined
      ) {
        throw unfit(named, `gave ${output.name} without four dimensions`);
      }
      return { data: toNumbers(result), batch: images, channels: planes, height: rows, width: columns };
    },
  };
}
