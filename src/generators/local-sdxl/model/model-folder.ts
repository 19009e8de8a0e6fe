import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError, asAppError } from '../../../errors.ts';
import type { SchedulerConfig } from '../schedulers/config.ts';
import { parseSchedulerConfig } from '../schedulers/config.ts';
import type { Component, GraphName, Places } from './components.ts';
import { exists, GRAPH_NAMES } from './components.ts';

const indexSchema = z.looseObject({
  _class_name: z.string(),
  _name_or_path: z.string().nullish(),
  force_zeros_for_empty_prompt: z.boolean().nullish(),
});

const unetSchema = z.looseObject({
  block_out_channels: z.array(z.int().positive()).min(1),
  sample_size: z.int().positive().nullish(),
  in_channels: z.literal(4, { error: 'must be 4: in-painting and other special UNets cannot be used' }),
  time_cond_proj_dim: z.int().positive().nullish(),
});

const vaeSchema = z.looseObject({
  block_out_channels: z.array(z.int().positive()).min(1),
  scaling_factor: z.number().positive(),
  latents_mean: z.array(z.number()).length(4).nullish(),
  latents_std: z.array(z.number().positive()).length(4).nullish(),
});

/** An SDXL export, read as far as it is text. */
export interface ModelFolder {
  readonly places: Places;
  /** Absolute paths; optional graphs that are not there are missing. */
  readonly graphs: Readonly<Partial<Record<GraphName, string>>>;
  readonly scheduler: SchedulerConfig;
  /** Whether no negative prompt means zeros and not an empty text. */
  readonly forceZeros: boolean;
  /** Where the model came from, if the export says so: `stabilityai/sdxl-turbo`. */
  readonly origin: string;
  readonly takesGuidance: boolean;
  /** Sides must be multiples of this. */
  readonly multipleOf: number;
  /** The side, in pixels, that the UNet was trained with. */
  readonly nativeSide: number;
  readonly latents: LatentScale;
}

/** How the VAE's latents relate to the UNet's. */
export interface LatentScale {
  /** Pixels per latent, on each side. */
  readonly factor: number;
  readonly scaling: number;
  readonly mean: readonly number[] | undefined;
  readonly std: readonly number[] | undefined;
}

/** What must be there, with what it is for where that is not plain. */
const NEEDED = ['text_encoder', 'text_encoder_2', 'unet', 'vae_decoder'] as const satisfies readonly GraphName[];

const EXPORT = 'optimum-cli export onnx --model stabilityai/stable-diffusion-xl-base-1.0 --task text-to-image';

/**
 * Reads an SDXL export. Throws `config_invalid` that names every file that is missing or cannot be read, and the
 * command that makes such a folder; `setting` is the key whose folder it is.
 */
export async function readModelFolder(places: Places, setting: string): Promise<ModelFolder> {
  const problems: string[] = [];
  const index = await readJson(places.index, 'model_index.json', indexSchema, problems);
  const scheduler = await readScheduler(...file(places, 'scheduler', 'scheduler_config.json'), problems);
  const unet = await readJson(...file(places, 'unet', 'config.json'), unetSchema, problems);
  const vae = await readJson(...file(places, 'vae_decoder', 'config.json'), vaeSchema, problems);
  for (const name of ['tokenizer', 'tokenizer_2'] as const)
    problems.push(...(await tokenizerProblems(places[name], name)));
  const graphs: Partial<Record<GraphName, string>> = {};
  for (const name of GRAPH_NAMES) {
    const path = join(places[name], 'model.onnx');
    if (await exists(path)) graphs[name] = path;
    else if (NEEDED.some((needed) => needed === name)) problems.push(`${name}/model.onnx is missing`);
  }
  if (
    index === undefined ||
    scheduler === undefined ||
    unet === undefined ||
    vae === undefined ||
    problems.length > 0
  ) {
    throw new AppError('config_invalid', incomplete(setting, basename(dirname(places.index)), problems));
  }

  const factor = 2 ** (vae.block_out_channels.length - 1);
  return {
    places,
    graphs,
    scheduler,
    forceZeros: index.force_zeros_for_empty_prompt ?? true,
    origin: index._name_or_path ?? '',
    takesGuidance: (unet.time_cond_proj_dim ?? undefined) !== undefined,
    multipleOf: factor * 2 ** (unet.block_out_channels.length - 1),
    nativeSide: factor * (unet.sample_size ?? 128),
    latents: {
      factor,
      scaling: vae.scaling_factor,
      mean: vae.latents_mean ?? undefined,
      std: vae.latents_std ?? undefined,
    },
  };
}

function file(places: Places, component: Component, name: string): [path: string, shown: string] {
  return [join(places[component], name), `${component}/${name}`];
}

async function tokenizerProblems(folder: string, name: string): Promise<string[]> {
  const has = (part: string) => exists(join(folder, part));
  const problems = (await has('tokenizer_config.json')) ? [] : [`${name}/tokenizer_config.json is missing`];
  if (((await has('vocab.json')) && (await has('merges.txt'))) || (await has('tokenizer.json'))) return problems;
  return [...problems, `${name}/vocab.json with merges.txt, or tokenizer.json, is missing`];
}

async function readText(path: string, shown: string, problems: string[]): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    problems.push(`${shown} ${missing ? 'is missing' : 'cannot be read'}`);
    return undefined;
  }
}

async function readJson<T>(
  path: string,
  shown: string,
  schema: z.ZodType<T>,
  problems: string[],
): Promise<T | undefined> {
  const text = await readText(path, shown, problems);
  if (text === undefined) return undefined;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    problems.push(`${shown}: ${issue?.path.join('.')} ${issue?.message}`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    problems.push(`${shown} is not JSON`);
  }
  return undefined;
}

async function readScheduler(path: string, shown: string, problems: string[]): Promise<SchedulerConfig | undefined> {
  const text = await readText(path, shown, problems);
  if (text === undefined) return undefined;
  try {
    return parseSchedulerConfig(text);
  } catch (error) {
    const { code, message } = asAppError(error);
    if (code !== 'config_invalid') throw error;
    problems.push(message.replace(/\.$/, ''));
    return undefined;
  }
}

function incomplete(setting: string, folder: string, problems: readonly string[]): string {
  return (
    `${setting}: the folder ${folder} is no complete SDXL export: ${problems.join('; ')}. ` +
    `\`${EXPORT} ${folder}\` makes one; docs/generators/local-sdxl.md has the commands for other models`
  );
}
