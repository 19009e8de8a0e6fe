import { z } from 'zod';
import type { Setting } from './keys.ts';
import { findKey } from './keys.ts';

/** What a key of Experimance's image_server.toml means here. */
export type Translation =
  /** Values of keys of ours, by their paths. */
  | { readonly kind: 'ours'; readonly values: ReadonlyMap<string, unknown> }
  /** The key is one of Experimance's, for a part that this server does not have. */
  | { readonly kind: 'without' };

type Translate = (value: unknown) => Translation;

const without: Translate = () => ({ kind: 'without' });

function ours(values: Readonly<Record<string, unknown>>): Translation {
  return { kind: 'ours', values: new Map(Object.entries(values)) };
}

/** The same value under a name of ours. */
function renamed(path: string): Translate {
  return (value) => (findKey(path) === undefined ? { kind: 'without' } : ours({ [path]: value }));
}

const socket = z.object({
  address: z.string().default('tcp://127.0.0.1'),
  port: z.coerce.number().optional(),
});

/** A table `{address, port}` as one address; a wrong one goes on as it is, for the schema to refuse. */
function address(path: string, port: number, more: Readonly<Record<string, unknown>> = {}): Translate {
  return (value) => {
    const read = socket.safeParse(value);
    if (!read.success) return ours({ [path]: value });
    return ours({ [path]: `${toAddress(read.data.address, path)}:${read.data.port ?? port}`, ...more });
  };
}

/** An address of the layout with published messages. */
function published(path: string): Translate {
  return (value) =>
    ours({ [path]: typeof value === 'string' ? toAddress(value, path) : value, 'bus.layout': 'pubsub' });
}

/** localhost may be the IPv6 address, where no core listens; a star is for those who bind, as we do for images only. */
function toAddress(text: string, path: string): string {
  const host = text.replace('//localhost', '//127.0.0.1');
  return path === 'bus.images' ? host : host.replace('//*', '//127.0.0.1');
}

const fal = (section: string, ...keys: string[]) => keys.map((key) => [key, renamed(`${section}.${key}`)] as const);
const none = (...keys: string[]) => keys.map((key) => [key, without] as const);

const FAL_COMFY = fal('fal_comfy', 'endpoint', 'model_url', 'lora_url', 'lora_strength', 'timeout');
const LIGHTNING = fal(
  'falai_lightning_i2i',
  ...['endpoint', 'strength', 'num_inference_steps', 'guidance_rescale', 'format', 'enable_safety_checker'],
  ...['safety_checker_version', 'expand_prompt', 'preserve_aspect_ratio', 'crop_output', 'timeout'],
);
const SDXL = [
  ...['steps', 'guidance_scale', 'strength', 'device', 'negative_prompt', 'timeout'].map(
    (key) => [key, renamed(`local_sdxl.${key}`)] as const,
  ),
  ['num_inference_steps', renamed('local_sdxl.steps')] as const,
  ...none('model', 'model_path', 'models_dir', 'width', 'height', 'dimensions', 'scheduler'),
  ...none('compile_unet', 'warmup_on_start', 'controlnet_id', 'enable_xformers', 'enable_attention_slicing'),
  ...none('scheduler_config', 'lora_strength', 'seed', 'ksampler_seed', 'prompt', 'strategy'),
];

/** Experimance's sections and keys, where they are not ours as well; a section of its own alone has no part here. */
const SECTIONS: Readonly<Record<string, ReadonlyMap<string, Translate> | 'without'>> = {
  '': new Map(none('service_name', 'visualize')),
  generator: new Map([['default_strategy', renamed('generator.strategy')]]),
  zmq: new Map([
    ['pull', address('bus.requests', 5564)],
    ['push', address('bus.results', 5565)],
    ['subscriber', address('bus.events', 5555)],
    ['publisher', address('bus.images', 5558, { 'bus.alerts': 'both' })],
    ['image_request_pub', published('bus.events')],
    ['events_sub_address', published('bus.events')],
    ['images_pub_address', published('bus.images')],
    ['events_pub_address', published('bus.images')],
    ...none('name', 'log_level', 'timeout', 'max_concurrent_tasks'),
  ]),
  mock: new Map<string, Translate>([
    ['use_existing_images', (value) => ours({ 'mock.style': value === true ? 'existing' : 'placeholder' })],
    ['existing_images_dir', renamed('mock.images_dir')],
    ['delay', renamed('mock.delay_s')],
    ...none('strategy', 'image_size', 'background_color', 'text_color', 'output_dir', 'immediate'),
  ]),
  fal_comfy: new Map([...FAL_COMFY, ...none('strategy', 'output_dir', 'ksampler_seed', 'negative_prompt')]),
  falai: new Map([...FAL_COMFY, ...none('strategy', 'output_dir')]),
  falai_lightning_i2i: new Map([...LIGHTNING, ...none('strategy', 'output_dir', 'seed', 'num_images')]),
  fal_lightning_i2i: new Map([...LIGHTNING, ...none('strategy', 'output_dir', 'seed', 'num_images')]),
  vastai: new Map<string, Translate>([
    ['model_name', renamed('vastai.model')],
    ['controlnet_id', renamed('vastai.controlnet')],
    ['cfg', renamed('vastai.guidance_scale')],
    ...none('strategy', 'output_dir', 'pre_warm', 'create_if_none', 'wait_for_ready', 'width', 'height', 'instance_id'),
    ...none(
      'vastai_api_key',
      'instance_timeout',
      'pre_warm_timeout',
      'use_karras_sigmas',
      'disk_size',
      'max_price',
      'lora_strength',
      'use_era_loras',
      'provisioning_script',
    ),
  ]),
  local_sdxl: new Map(SDXL),
  sdxl: new Map(SDXL),
  openai: new Map(none('dimensions', 'strategy')),
  local: 'without',
  audio_generator: 'without',
  mock_audio: 'without',
  prompt2audio: 'without',
};

/** Whether Experimance has a section of this name. */
export function isExperimanceSection(name: string): boolean {
  return name !== '' && Object.hasOwn(SECTIONS, name);
}

/** What a key of Experimance's means here; undefined when Experimance has none of this name. */
export function translate(section: string | undefined, key: string, value: unknown): Translation | undefined {
  const keys = Object.hasOwn(SECTIONS, section ?? '') ? SECTIONS[section ?? ''] : undefined;
  return keys === 'without' ? { kind: 'without' } : keys?.get(key)?.(value);
}

/** Settings of a translation; they stand where Experimance's key stands. */
export function toSettings(values: ReadonlyMap<string, unknown>, origin: () => string): Setting[] {
  return [...values].flatMap(([path, value]) => {
    const key = findKey(path);
    return key === undefined ? [] : [{ key, value, fromText: false, origin }];
  });
}
