import { stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The graphs of an SDXL export, each `model.onnx` in a folder of its name. */
export const GRAPH_NAMES = [
  'text_encoder',
  'text_encoder_2',
  'unet',
  'vae_decoder',
  'vae_encoder',
  'controlnet',
] as const;
/** A name of `GRAPH_NAMES`. */
export type GraphName = (typeof GRAPH_NAMES)[number];

/** The folders of an SDXL export. */
export const COMPONENTS = ['scheduler', 'tokenizer', 'tokenizer_2', ...GRAPH_NAMES] as const;
/** A name of `COMPONENTS`. */
export type Component = (typeof COMPONENTS)[number];

/** Where each component lies: absolute folders. */
export type Places = Readonly<Record<Component, string>> & {
  /** The file `model_index.json`. */
  readonly index: string;
};

/**
 * Finds the components of a model in folders, the first one first: an export that holds only what is its own, such as
 * a UNet with a LoRA merged in, takes the rest from the others. What is in none is sought, in vain, in the first one
 * but the last folder is named for it.
 */
export async function locateComponents(folders: readonly [string, ...string[]]): Promise<Places> {
  const find = async (name: string): Promise<string> => {
    for (const folder of folders) {
      if (await exists(join(folder, name))) return join(folder, name);
    }
    return join(folders.at(-1) ?? folders[0], name);
  };
  const found = await Promise.all(COMPONENTS.map(async (name) => [name, await find(name)] as const));
  return { ...(Object.fromEntries(found) as Record<Component, string>), index: await find('model_index.json') };
}

/** Whether there is something at a path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
