import type { Rgb } from './colours.ts';
import { rgb, rgbs, threeRgb } from './colours.ts';

/** How a biome is shaped and coloured. Shares and heights are 0 to 1, heights from the water up to the summits. */
export interface BiomeLook {
  /** What the land is where no depth map says so. */
  readonly form: 'hills' | 'coast' | 'island' | 'valley';
  /** Landforms across the picture. */
  readonly frequency: number;
  /** How sharp the crests are. */
  readonly ridges: number;
  /** Height over width, for slopes and their shading. */
  readonly relief: number;
  /** How deep running water cuts. */
  readonly erosion: number;
  /** Share of the picture under water; with a depth map, of its range of heights. */
  readonly water: number;
  /** Width of rivers, 1 usual; 0 none. */
  readonly rivers: number;
  readonly river: Rgb;
  readonly shallow: Rgb;
  readonly deep: Rgb;
  readonly beach: Rgb;
  /** Height that the beach reaches to. */
  readonly beachTop: number;
  /** The ground from the lows to the heights. */
  readonly ground: readonly [Rgb, Rgb, Rgb];
  /** The ground where it is dry. */
  readonly dry: Rgb;
  /** Crowns in shade, in light, and in clumps of their own. */
  readonly trees: readonly [Rgb, Rgb, Rgb];
  /** Share of the land under trees. */
  readonly cover: number;
  /** Height that trees reach to. */
  readonly treeLine: number;
  readonly rock: Rgb;
  /** Slope from which rock shows: 0.3 soon, 1 hardly ever. */
  readonly rockSlope: number;
  /** Height that snow reaches down to; above 1 there is none. */
  readonly snowLine: number;
  readonly texture: 'none' | 'dunes' | 'cracks' | 'pools';
  /** How much of the land can be farmed. */
  readonly arable: number;
  readonly crops: readonly Rgb[];
  /** White wisps over the lows. */
  readonly mist: number;
}

/** A snow line for land without snow. */
export const SNOW_FREE = 9;

/** Mixed forest of mild climates; what a biome does not say is as here. */
export const TEMPERATE: BiomeLook = {
  form: 'hills',
  frequency: 2.6,
  ridges: 0.35,
  relief: 0.08,
  erosion: 1,
  water: 0.07,
  rivers: 1,
  river: rgb('#263e46'),
  shallow: rgb('#3a5c5c'),
  deep: rgb('#10263a'),
  beach: rgb('#7e7a58'),
  beachTop: 0.012,
  ground: threeRgb('#687a3e #606e3c #767452'),
  dry: rgb('#8e8654'),
  trees: threeRgb('#182e1a #3e5c2c #2e4a22'),
  cover: 0.58,
  treeLine: 0.95,
  rock: rgb('#7a7468'),
  rockSlope: 0.75,
  snowLine: SNOW_FREE,
  texture: 'none',
  arable: 1,
  crops: rgbs('#808e42 #b2a45c #5c7a38 #968054 #c4b670'),
  mist: 0,
};
