import type { Config } from '../../config/schema.ts';
import { AppError } from '../../errors.ts';
import type { OptionalField } from '../../messages/fields.ts';
import { OPTIONAL_FIELDS } from '../../messages/fields.ts';
import type { GeneratorCapabilities, GeneratorModel, GeneratorSizes, Work } from '../generator.ts';

/** Addresses of the work's input images at the provider. */
export interface SentInputs {
  readonly referenceImage?: string | undefined;
  readonly depthMap?: string | undefined;
  readonly mask?: string | undefined;
}

/** A way to ask an endpoint for work. */
export interface FalPreset extends GeneratorModel {
  readonly endpoint: string;
  /** The endpoint's arguments. Throws `unsupported_field` when the work lacks what it needs. */
  arguments(work: Work, inputs: SentInputs): Record<string, unknown>;
}

const GENERIC_SIZES: GeneratorSizes = { default: { width: 1024, height: 1024 }, min: 256, max: 2048, multipleOf: 8 };
/** The workflow draws in one size. */
const COMFY_SIZES: GeneratorSizes = { default: { width: 1024, height: 1024 }, min: 1024, max: 1024, multipleOf: 1 };

/** How Experimance's workflow draws early eras: from above, as a drone sees them. */
const EARLY_LORA = 'https://civitai.com/api/download/models/179152?type=Model&format=SafeTensor';
const COMFY_ERAS: Readonly<Record<string, { lora?: string; strength: number }>> = {
  wilderness: { lora: EARLY_LORA, strength: 0.8 },
  pre_industrial: { lora: EARLY_LORA, strength: 0.8 },
  future: { strength: 1.2 },
};

/** Every preset by its name; endpoints that requests may name are presets as well. */
export function createPresets(config: Pick<Config, 'fal' | 'fal_comfy' | 'falai_lightning_i2i'>) {
  const generic = (endpoint: string) => genericPreset(endpoint, config.fal);
  const named = {
    generic: generic(config.fal.endpoint),
    fal_comfy: comfyPreset(config.fal_comfy),
    falai_lightning_i2i: lightningPreset(config.falai_lightning_i2i),
  } as const satisfies Record<Config['fal']['preset'], FalPreset>;
  const endpoints = [config.fal.endpoint, ...config.fal.endpoints].map((name): [string, FalPreset] => [
    name,
    generic(name),
  ]);
  return {
    usual: named[config.fal.preset],
    byName: new Map<string, FalPreset>([...Object.entries(named), ...endpoints]),
  };
}

/** Any endpoint: the configuration says which argument stands for which field. */
function genericPreset(endpoint: string, { mapping, arguments: always }: Config['fal']): FalPreset {
  const names = { prompt: 'prompt', seed: 'seed', num_images: 'num_images', ...mapping };
  const fields = new Set(OPTIONAL_FIELDS.filter((field) => mapping[field] !== undefined));
  return {
    endpoint,
    capabilities: capabilities(fields, 4),
    sizes: GENERIC_SIZES,
    arguments(work, inputs) {
      const values: Record<keyof typeof names, unknown> = {
        prompt: work.prompt,
        negative_prompt: work.negativePrompt,
        seed: work.seed,
        size: { width: work.width, height: work.height },
        width: work.width,
        height: work.height,
        num_images: work.numImages,
        steps: work.steps,
        guidance_scale: work.guidanceScale,
        strength: work.strength,
        style: work.style,
        loras: work.loras,
        reference_image: inputs.referenceImage,
        depth_map: inputs.depthMap,
        mask: inputs.mask,
      };
      const mapped = Object.entries(names).map(([field, name]) => [name, values[field as keyof typeof names]]);
      return { ...always, ...Object.fromEntries(mapped.filter(([, value]) => value !== undefined)) };
    },
  };
}

/** Experimance's own workflow: a depth map becomes a landscape, in a style of its era. */
function comfyPreset({ endpoint, model_url, lora_url, lora_strength }: Config['fal_comfy']): FalPreset {
  return {
    endpoint,
    capabilities: capabilities(new Set(['negative_prompt', 'depth_map']), 1),
    sizes: COMFY_SIZES,
    arguments(work, { depthMap }) {
      const { lora = lora_url, strength } = COMFY_ERAS[work.era ?? ''] ?? { strength: 1 };
      return {
        prompt: work.prompt,
        negative_prompt: work.negativePrompt ?? '',
        ...(model_url === undefined ? {} : { model_url }),
        ...(lora === undefined ? {} : { lora_url: lora }),
        lora_strength: Number((lora_strength * strength).toFixed(4)),
        depth_map: depthMap ?? null,
        ksampler_seed: work.seed,
      };
    },
  };
}

/** A reference image changed in a few fast steps, as Experimance's tiles are. */
function lightningPreset(config: Config['falai_lightning_i2i']): FalPreset {
  const { endpoint, strength, num_inference_steps, guidance_rescale, ...always } = config;
  const fields = new Set<OptionalField>(['steps', 'strength', 'reference_image']);
  return {
    endpoint,
    capabilities: { ...capabilities(fields, 4), required: new Set(['reference_image']) },
    sizes: GENERIC_SIZES,
    arguments(work, { referenceImage }) {
      if (referenceImage === undefined) {
        throw new AppError('unsupported_field', `The endpoint ${endpoint} needs a reference_image.`);
      }
      return {
        ...always,
        ...(guidance_rescale === undefined ? {} : { guidance_rescale }),
        image_url: referenceImage,
        prompt: work.prompt,
        strength: work.strength ?? strength,
        num_inference_steps: work.steps ?? num_inference_steps,
        seed: work.seed,
        num_images: work.numImages,
        image_size: { width: work.width, height: work.height },
      };
    },
  };
}

function capabilities(fields: ReadonlySet<OptionalField>, maxImages: number): GeneratorCapabilities {
  return { fields, seeds: true, maxImages, previews: false };
}
