import { describe, expect, it } from 'vitest';
import { bindControlNet } from '../../../src/generators/local-sdxl/networks/controlnet.ts';
import { createDenoiser } from '../../../src/generators/local-sdxl/networks/denoiser.ts';
import type { Graph, GraphTensor, TensorInfo } from '../../../src/generators/local-sdxl/networks/graph.ts';
import { fromHalfBits, roundToHalf, toHalfBits } from '../../../src/generators/local-sdxl/networks/half.ts';
import { bindTextEncoder } from '../../../src/generators/local-sdxl/networks/text-encoder.ts';
import { bindUnet } from '../../../src/generators/local-sdxl/networks/unet.ts';
import { bindVaeDecoder, bindVaeEncoder } from '../../../src/generators/local-sdxl/networks/vae.ts';

type Shape = readonly (number | string)[];

function info(name: string, shape: Shape, type = 'float32'): TensorInfo {
  return { name, type, shape };
}

/** A graph that keeps what it was fed and gives zeros of the shape of `like`. */
function graph(inputs: readonly TensorInfo[], outputs: readonly TensorInfo[], like = inputs[0]?.name ?? '') {
  const runs: Readonly<Record<string, GraphTensor>>[] = [];
  const fake: Graph = {
    inputs,
    outputs,
    async run(feeds, wanted) {
      // Buffers are used again: what counts is what they held.
      runs.push(
        Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, { ...feed, data: feed.data.slice() }])),
      );
      const dims = feeds[like]?.dims ?? [1];
      const size = dims.reduce((product, dim) => product * dim, 1);
      return Object.fromEntries(wanted.map((name) => [name, { type: 'float32', data: new Float32Array(size), dims }]));
    },
    release: async () => {},
  };
  return { runs, named: { component: 'unet', graph: fake } };
}

const latents: Shape = ['batch', 4, 'height', 'width'];
const UNET = [
  info('sample', latents),
  info('timestep', []),
  info('encoder_hidden_states', ['batch', 'sequence', 8]),
  info('text_embeds', ['batch', 5]),
  info('time_ids', ['batch', 6]),
];
const conditions = {
  rows: 2,
  height: 1,
  width: 1,
  hidden: new Float32Array(2 * 3 * 8),
  tokens: 3,
  pooled: new Float32Array(2 * 5),
  timeIds: new Float32Array(2 * 6),
};
const sample = Float32Array.from({ length: 8 }, (_, i) => i);

function unet(changes: readonly TensorInfo[], output = 'out_sample') {
  const names = changes.map(({ name }) => name);
  const inputs = [...UNET.filter(({ name }) => !names.includes(name)), ...changes];
  return graph(inputs, [info(output, latents)], 'sample');
}

describe('a UNet', () => {
  it.each([
    ['float32', [], [499.5]],
    ['float32', [1], [499.5]],
    ['float32', ['steps'], [499.5]],
    ['int64', ['steps'], [499n]],
    ['int32', [], [499]],
  ] as const)('gets its timestep as %s of shape %o', async (type, shape, expected) => {
    const { named, runs } = unet([info('timestep', shape, type)]);
    await bindUnet(named).prepare(conditions, undefined)(sample, 499.5, undefined);
    expect([...(runs[0]?.timestep?.data ?? [])]).toEqual(expected);
    expect(runs[0]?.timestep?.dims).toEqual(shape.length === 0 ? [] : [1]);
    expect(runs[0]?.timestep?.type).toBe(type);
  });

  it('in half precision gets everything so', async () => {
    const { named, runs } = unet(UNET.map(({ name, shape }) => info(name, shape, 'float16')));
    const bound = bindUnet(named);
    expect(bound.half).toBe(true);
    await bound.prepare(conditions, undefined)(sample, 1, undefined);
    expect(Object.values(runs[0] ?? {}).map(({ type }) => type)).toEqual(Array(5).fill('float16'));
    expect(runs[0]?.sample?.data).toEqual(toHalfBits(sample));
  });

  it.each(['out_sample', 'latent', 'noise_pred'])('may name its output %s', async (output) => {
    const { named } = unet([], output);
    await expect(bindUnet(named).prepare(conditions, undefined)(sample, 1, undefined)).resolves.toHaveLength(8);
  });

  it.each([
    ['controlnet_images', 'controlnet_scales'],
    ['controlnet_conds', 'conditioning_scales'],
  ])('with ControlNet inside may name its inputs %s and %s', async (images, scales) => {
    const { named, runs } = unet([info(images, [1, 'batch', 3, 'h', 'w']), info(scales, [1])]);
    const bound = bindUnet(named);
    expect(bound.control).toBe('merged');
    const picture = { data: new Float32Array(2 * 3 * 64), height: 8, width: 8 };
    await bound.prepare(conditions, picture)(sample, 1, { kind: 'scale', scale: 0.5 });
    expect(runs[0]?.[images]?.dims).toEqual([1, 2, 3, 8, 8]);
    expect(runs[0]?.[scales]).toMatchObject({ data: Float32Array.of(0.5), dims: [1] });
  });

  it('says what it lacks, and what is none', () => {
    const without = graph(UNET.slice(1), [info('out_sample', latents)]);
    expect(() => bindUnet(without.named)).toThrow('unet/model.onnx has no input sample, only timestep');
    expect(() => bindUnet(unet([info('time_ids', ['batch', 5])]).named)).toThrow('is a refiner’s');
    expect(() => bindUnet(unet([info('class_labels', ['batch'])]).named)).toThrow('not known here: class_labels');
    expect(() => bindUnet(unet([info('sample', latents, 'bfloat16')]).named)).toThrow('has sample of type bfloat16');
    const two = unet([info('controlnet_images', [2, 'batch', 3, 'h', 'w']), info('controlnet_scales', [2])]);
    expect(() => bindUnet(two.named)).toThrow('holds 2 ControlNets; one can be used');
  });
});

describe('a ControlNet of its own', () => {
  const down = 'down_block_additional_residual_0';
  const mid = 'mid_block_additional_residual';

  function pair() {
    const net = graph(
      [...UNET, info('controlnet_cond', ['batch', 3, 'h', 'w']), info('conditioning_scale', [])],
      [info('down_block_res_sample_0', latents), info('mid_block_res_sample', latents)],
      'sample',
    );
    const main = unet([info(down, latents), info(mid, latents)]);
    const picture = { data: new Float32Array(2 * 3 * 64), height: 8, width: 8 };
    return { net, main, picture };
  }

  it('feeds the UNet, and does not run for nothing once the shapes are known', async () => {
    const { net, main, picture } = pair();
    const denoiser = createDenoiser(bindUnet(main.named), bindControlNet(net.named), false);
    const seen: number[] = [];
    const step = denoiser.prepare(conditions, picture, (residuals) => seen.push(residuals.length));
    for (const scale of [0, 0.8, 0, 0]) await step(sample, 1, scale);
    expect(net.runs).toHaveLength(2);
    expect(net.runs[1]?.conditioning_scale?.data).toEqual(Float32Array.of(0.8));
    expect(main.runs).toHaveLength(4);
    expect(main.runs[3]?.[down]?.dims).toEqual([2, 4, 1, 1]);
    expect(main.runs[3]?.[mid]?.data).toEqual(new Float32Array(8));
    expect(seen).toEqual([2, 2, 2, 2]);
  });

  it('sees one row at a time when memory is short', async () => {
    const { net, main, picture } = pair();
    const denoiser = createDenoiser(bindUnet(main.named), bindControlNet(net.named), true);
    await denoiser.prepare(conditions, picture)(sample, 1, 1);
    expect(main.runs.map((feeds) => [...(feeds.sample?.data ?? [])])).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
    expect(net.runs.map((feeds) => feeds.controlnet_cond?.dims)).toEqual([
      [1, 3, 8, 8],
      [1, 3, 8, 8],
    ]);
  });
});

describe('a text encoder', () => {
  const outputs = ['hidden_states.0', 'hidden_states.1', 'hidden_states.2', 'hidden_states.10'];

  it.each(['int32', 'int64'])('gets its ids as %s and gives the state before the last', async (type) => {
    const { named, runs } = graph(
      [info('input_ids', ['b', 's'], type)],
      outputs.map((name) => info(name, ['b', 's', 1])),
    );
    const encoder = bindTextEncoder(named);
    const { hidden, pooled } = await encoder.encode([3, 4], 0);
    expect(hidden).toHaveLength(2);
    expect(pooled).toBeUndefined();
    expect(runs[0]?.input_ids?.type).toBe(type);
    await expect(encoder.encode([3, 4], 3)).rejects.toThrow('has 4 hidden states, too few for clip_skip = 3');
  });

  it('whose layer is chosen already cannot choose another', async () => {
    const states = [info('text_embeddings', ['b', 1280]), info('hidden_states', ['b', 's', 1280])];
    const encoder = bindTextEncoder(graph([info('input_ids', ['b', 's'], 'int32')], states).named);
    expect((await encoder.encode([3, 4], 0)).pooled).toBeDefined();
    await expect(encoder.encode([3, 4], 1)).rejects.toThrow('clip_skip');
  });

  it('without hidden states is refused', () => {
    const { named } = graph([info('input_ids', ['b', 's'], 'int64')], [info('last_hidden_state', ['b', 's', 1])]);
    expect(() => bindTextEncoder(named)).toThrow('gives no hidden states');
  });
});

describe('a VAE', () => {
  it.each([
    ['latent_parameters', 8, 'moments'],
    ['latent_sample', 4, 'sample'],
    ['latent', 4, 'sample'],
  ])('whose encoder gives %s gives %s channels: %s', (name, channels, gives) => {
    const { named } = graph([info('images', ['b', 3, 'h', 'w'])], [info(name, ['b', channels, 'h', 'w'])]);
    expect(bindVaeEncoder(named).gives).toBe(gives);
  });

  it('may name its inputs and outputs as it likes, but has one of each', async () => {
    const { named } = graph([info('latent', latents)], [info('images', latents)]);
    const planes = { data: new Float32Array(4), batch: 1, channels: 4, height: 1, width: 1 };
    await expect(bindVaeDecoder(named).decode(planes)).resolves.toMatchObject({ channels: 4 });
    const two = graph([info('a', latents), info('b', latents)], [info('c', latents)]);
    expect(() => bindVaeDecoder(two.named)).toThrow('must have exactly one input');
  });
});

describe('half precision', () => {
  it('is rounded to even, and read back as it was', () => {
    const values = Float32Array.of(1, -2.5, 1 + 2 ** -11, 65_504, 1e-8);
    const bits = toHalfBits(values);
    expect(bits[0]).toBe(0x3c00);
    roundToHalf(values);
    expect(fromHalfBits(bits)).toEqual(values);
    expect([...values]).toEqual([1, -2.5, 1, 65_504, 0]);
  });
});
