import type { GraphName } from '../model/components.ts';
import type { ModelFolder } from '../model/model-folder.ts';
import { unfit } from '../networks/bind.ts';
import { bindControlNet } from '../networks/controlnet.ts';
import type { Denoiser } from '../networks/denoiser.ts';
import { createDenoiser } from '../networks/denoiser.ts';
import type { Graph, GraphOptions, OpenGraph } from '../networks/graph.ts';
import { bindTextEncoder } from '../networks/text-encoder.ts';
import { bindUnet } from '../networks/unet.ts';
import { bindVaeDecoder, bindVaeEncoder } from '../networks/vae.ts';
import type { Networks, PipelineModel } from '../pipeline/pipeline.ts';
import { loadClipTokenizer } from '../tokenizer.ts';
import type { ModelFacts } from './protocol.ts';

/** The graphs of each stage of a run, in the order in which they are used. */
const STAGES = {
  text: ['text_encoder', 'text_encoder_2'],
  image: ['vae_encoder'],
  denoising: ['unet', 'controlnet'],
  decoding: ['vae_decoder'],
} as const satisfies Record<string, readonly GraphName[]>;

/** A model that can run. */
export interface OpenModel {
  readonly pipeline: PipelineModel;
  readonly facts: ModelFacts;
  /** Frees all graphs. */
  release(): Promise<void>;
}

/** ONNX Runtime could not load a graph; the cause has its words. */
export class GraphNotOpened extends Error {
  readonly component: GraphName;

  constructor(component: GraphName, options: ErrorOptions) {
    super(`${component}/model.onnx could not be loaded`, options);
    this.component = component;
  }
}

/** Hears which graph is being loaded. */
export type OnLoading = (graph: GraphName, index: number, of: number) => void;

/**
 * Loads a model. All graphs are opened once, so that a bad one is found now and not in the middle of a render; with
 * `lowMemory` only those of the stage under way are kept open.
 * Rejects with `config_invalid` for graphs that are not SDXL's, and with `GraphNotOpened`.
 */
export async function openModel(
  model: ModelFolder,
  openGraph: OpenGraph,
  options: GraphOptions,
  onLoading: OnLoading,
): Promise<OpenModel> {
  const tokenizers = await Promise.all([
    loadClipTokenizer(model.places.tokenizer),
    loadClipTokenizer(model.places.tokenizer_2),
  ]);
  const open = new Map<GraphName, Graph>();
  const present = Object.values(STAGES)
    .flat()
    .filter((name) => model.graphs[name] !== undefined);

  async function graph(component: GraphName) {
    const path = model.graphs[component];
    if (path === undefined) throw unfit({ component }, 'is missing');
    const found = open.get(component) ?? (await tryToOpen(component, path));
    open.set(component, found);
    return { component, graph: found };
  }

  async function tryToOpen(component: GraphName, path: string): Promise<Graph> {
    try {
      return await openGraph(path, options);
    } catch (cause) {
      throw new GraphNotOpened(component, { cause });
    }
  }

  async function close(components: readonly GraphName[]): Promise<void> {
    for (const component of components) {
      const closing = open.get(component);
      open.delete(component);
      await closing?.release();
    }
  }

  async function denoiser(): Promise<Denoiser> {
    const unet = bindUnet(await graph('unet'));
    if (unet.control !== 'residuals') return createDenoiser(unet, undefined, options.lowMemory);
    return createDenoiser(unet, bindControlNet(await graph('controlnet')), options.lowMemory);
  }

  const networks: Networks = {
    textEncoders: async () => [
      bindTextEncoder(await graph('text_encoder')),
      bindTextEncoder(await graph('text_encoder_2')),
    ],
    vaeEncoder: async () => bindVaeEncoder(await graph('vae_encoder')),
    denoiser,
    vaeDecoder: async () => bindVaeDecoder(await graph('vae_decoder')),
    async done(stage) {
      if (options.lowMemory) await close(STAGES[stage]);
    },
  };

  try {
    const facts = await check();
    return {
      pipeline: {
        networks,
        tokenize: [(text) => tokenizers[0].encodeToLength(text), (text) => tokenizers[1].encodeToLength(text)],
        latents: model.latents,
        forceZeros: model.forceZeros,
        takesGuidance: model.takesGuidance,
      },
      facts,
      release: () => close(present),
    };
  } catch (error) {
    await close(present);
    throw error;
  }

  /** Opens and binds everything, stage after stage. */
  async function check(): Promise<ModelFacts> {
    const notes: string[] = [];
    await load('text');
    await networks.textEncoders();
    await networks.done('text');

    const imageToImage = model.graphs.vae_encoder !== undefined;
    if (imageToImage) {
      await load('image');
      const { gives } = await networks.vaeEncoder();
      if (gives === 'sample') notes.push('The VAE encoder draws its own noise: image-to-image ignores the seed.');
      await networks.done('image');
    }

    await load('denoising');
    const { takesControlImage, takesGuidance } = await networks.denoiser();
    if (takesGuidance !== model.takesGuidance) {
      throw unfit(
        { component: 'unet' },
        'and unet/config.json disagree on timestep_cond: they are of different models',
      );
    }
    await networks.done('denoising');

    await load('decoding');
    const { half } = await networks.vaeDecoder();
    if (half) notes.push('The VAE decoder is in half precision, in which SDXL’s own VAE overflows to black.');
    await networks.done('decoding');
    return { controlNet: takesControlImage, imageToImage, notes };
  }

  async function load(stage: keyof typeof STAGES): Promise<void> {
    for (const name of STAGES[stage]) {
      if (model.graphs[name] === undefined) continue;
      onLoading(name, present.indexOf(name), present.length);
      await graph(name);
    }
  }
}
