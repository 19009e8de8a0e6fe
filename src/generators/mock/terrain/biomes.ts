import type { BIOMES } from '../../../messages/projects.ts';
import type { BiomeLook } from './biome-look.ts';
import { OPEN } from './biomes-open.ts';
import { WATERSIDE } from './biomes-waterside.ts';
import { WOODED } from './biomes-wooded.ts';

/** A biome that the style knows. */
export type Biome = (typeof BIOMES)[number];

/** How each biome looks. */
export const BIOME_LOOKS: Readonly<Record<Biome, BiomeLook>> = { ...WOODED, ...OPEN, ...WATERSIDE };
