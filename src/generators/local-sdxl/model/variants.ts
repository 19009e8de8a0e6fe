import type { Config } from '../../../config/schema.ts';
import { AppError } from '../../../errors.ts';
import type { Work } from '../../generator.ts';
import { checkScheduler } from '../schedulers/index.ts';
import { locateComponents } from './components.ts';
import type { ModelFolder } from './model-folder.ts';
import { readModelFolder } from './model-folder.ts';
import type { Recipe } from './recipe.ts';
import { recipeOf } from './recipe.ts';

/** A model with how it is sampled. */
export interface Variant {
  readonly model: ModelFolder;
  readonly recipe: Recipe;
}

/** The model of the configuration, and those that styles and LoRAs ask for instead. */
export interface Variants {
  readonly base: Variant;
  readonly all: readonly Variant[];
  /** The variant for a work. Throws `unsupported_field` for a style or LoRA that is none of the configuration's. */
  choose(work: Pick<Work, 'style' | 'loras'>): Variant;
}

/** Reads the exports that `[local_sdxl]` names. Throws `config_invalid`. */
export async function readVariants(config: Config['local_sdxl']): Promise<Variants> {
  const { model_dir: baseDir, styles, loras } = config;
  if (baseDir === undefined) {
    throw new AppError('config_invalid', '[local_sdxl] model_dir is not set.');
  }
  const read = async (setting: string, ...folders: [string, ...string[]]): Promise<Variant> => {
    const model = await readModelFolder(await locateComponents(folders), `[local_sdxl] ${setting}`);
    const recipe = recipeOf(model, config.preset, config.steps);
    checkScheduler(recipe.scheduler);
    return { model, recipe };
  };

  const base = await read('model_dir', baseDir);
  const byStyle = new Map<string, Variant>();
  for (const [style, folder] of Object.entries(styles)) {
    byStyle.set(style, await read(`styles.${style}`, folder, baseDir));
  }
  const byLora: { path: string; scale: number; variant: Variant }[] = [];
  for (const { path, scale, model_dir: folder } of loras) {
    byLora.push({ path, scale, variant: await read(`loras ${path}`, folder, baseDir) });
  }

  return {
    base,
    all: [base, ...byStyle.values(), ...byLora.map(({ variant }) => variant)],
    choose({ style, loras: wanted = [] }) {
      if (style !== undefined && wanted.length > 0) throw unsupported('style and loras cannot be combined');
      if (style !== undefined) {
        return byStyle.get(style) ?? refuse('style', [...byStyle.keys()]);
      }
      const [lora, second] = wanted;
      if (lora === undefined) return base;
      const found = byLora.find(({ path, scale }) => path === lora.path && scale === lora.scale);
      if (found !== undefined && second === undefined) return found.variant;
      return refuse(
        'loras',
        byLora.map(({ path, scale }) => `${path} at scale ${scale}`),
      );
    },
  };
}

function refuse(field: string, known: readonly string[]): never {
  throw unsupported(`${field} must be one of ${known.join(', ')}: they are exports with LoRAs merged in`);
}

function unsupported(message: string): AppError {
  return new AppError('unsupported_field', `${message}.`);
}
