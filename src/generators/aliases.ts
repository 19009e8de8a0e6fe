import type { GeneratorChoice } from './generator.ts';

/** Names that Experimance's configurations and requests use, and what they mean here. */
export const GENERATOR_ALIASES: ReadonlyMap<string, GeneratorChoice> = new Map([
  ['sdxl', { generator: 'local_sdxl' }],
  ['falai', { generator: 'fal' }],
  ['fal_comfy', { generator: 'fal', model: 'fal_comfy' }],
  ['falai_lightning_i2i', { generator: 'fal', model: 'falai_lightning_i2i' }],
  ['fal_lightning_i2i', { generator: 'fal', model: 'falai_lightning_i2i' }],
]);

/** What `generator` of a request means: an alias, a generator, or `generator/model`. */
export function chooseGenerator(name: string): GeneratorChoice {
  const alias = GENERATOR_ALIASES.get(name);
  if (alias !== undefined) return alias;
  const slash = name.indexOf('/');
  return slash === -1 ? { generator: name } : { generator: name.slice(0, slash), model: name.slice(slash + 1) };
}
