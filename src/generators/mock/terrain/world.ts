import type { BiomeLook } from './biome-look.ts';
import type { Biome } from './biomes.ts';
import { BIOME_LOOKS } from './biomes.ts';
import type { EraLook } from './era-look.ts';
import type { Era } from './eras.ts';
import { ERA_LOOKS } from './eras.ts';
import type { Grid, Size } from './grid.ts';
import { blur, fillSmoothly, gridOf } from './grid.ts';
import type { DepthGrid, Land } from './heightmap.ts';
import { createLand } from './heightmap.ts';
import { skyLight, slopes } from './light.ts';
import { clamp01, fractal, length, noiseOf, smoothstep } from './numbers.ts';
import type { RiverPieces } from './rivers.ts';
import { traceRivers } from './rivers.ts';
import type { Polyline } from './roads.ts';
import { planRoads } from './roads.ts';
import type { Town } from './settlements.ts';
import { settle, suitability } from './settlements.ts';

/** What is to be shown, apart from the size in pixels. */
export interface Scene {
  readonly seed: number;
  readonly era: Era;
  readonly biome: Biome;
  /** The shape of the picture; of its size only the proportion counts. */
  readonly shape: Size;
  /** As large as `visibleSize` of the grid. */
  readonly depth?: DepthGrid | undefined;
}

/** A landscape before it is drawn: everything that does not depend on the size in pixels. */
export interface World {
  readonly seed: number;
  readonly grid: Grid;
  readonly look: { readonly biome: BiomeLook; readonly era: EraLook };
  readonly land: Land;
  readonly towns: readonly Town[];
  readonly roads: readonly Polyline[];
  readonly rails: readonly Polyline[];
  readonly rivers: RiverPieces;
  /** One value for each cell, 0 to 1, `mottle` −1 to 1, `light` as `skyLight` says. */
  readonly fields: {
    readonly light: Float32Array;
    readonly moisture: Float32Array;
    readonly slope: Float32Array;
    readonly urban: Float32Array;
    readonly farmed: Float32Array;
    readonly smoke: Float32Array;
    readonly mottle: Float32Array;
    readonly mist: Float32Array;
  };
}

/** Makes the landscape of a scene. Equal scenes give equal landscapes. */
export function createWorld({ seed, era: eraName, biome: biomeName, shape, depth }: Scene): World {
  const natural = BIOME_LOOKS[biomeName];
  const look = { biome: depth === undefined ? natural : shapedByHand(natural), era: ERA_LOOKS[eraName] };
  const grid = gridOf(shape);
  const land = createLand(grid, seed, look.biome, depth);
  const slope = slopes(land.heights, grid, look.biome.relief);
  const moisture = moistureOf(grid, seed, land);
  const suitable = suitability(land, slope, moisture);
  const { towns, urban, farmed, smoke } = settle(grid, seed, look, suitable);
  const mottling = noiseOf(seed, 'mottle');
  return {
    seed,
    grid,
    look,
    land,
    towns,
    rivers: traceRivers(grid, land, look.biome.rivers),
    ...ways(grid, seed, look.era, towns, land, slope),
    fields: {
      light: skyLight(land.heights, grid, look.biome.relief),
      moisture,
      slope: blur(slope, grid, 1, 1),
      urban,
      farmed,
      smoke,
      mottle: fillSmoothly(grid, (u, v) => 1.3 * fractal(mottling, u * 11, v * 11, 3)),
      mist: mistField(grid, seed, look.biome, land),
    },
  };
}

/** Sand lies gentler than nature: its slopes are shown steeper, its shores narrower. */
function shapedByHand(look: BiomeLook): BiomeLook {
  return { ...look, relief: look.relief * 2, beachTop: look.beachTop * 0.4 };
}

/** Wisps, thickest over the lows. */
function mistField(grid: Grid, seed: number, { mist }: BiomeLook, { heights }: Land): Float32Array {
  if (mist === 0) return new Float32Array(grid.length);
  const noise = noiseOf(seed, 'mist');
  const wisps = fillSmoothly(grid, (u, v) => 1.6 * fractal(noise, u * 3.5, v * 3.5, 5));
  return wisps.map((value, cell) => 0.5 * mist * smoothstep(0.25, 1.05, value - 0.4 * (heights[cell] ?? 0)));
}

/** Wet along the rivers, and elsewhere as the clouds will. */
function moistureOf(grid: Grid, seed: number, { drainage }: Land): Float32Array {
  const noise = noiseOf(seed, 'moisture');
  const wet = blur(
    drainage.area.map((area) => Math.max(0, Math.log2(area) - 4) / 9),
    grid,
    2,
  );
  const weather = fillSmoothly(grid, (u, v) => 0.42 + 0.42 * fractal(noise, u * 4, v * 4, 3));
  return weather.map((value, cell) => clamp01(value + 0.4 * (wet[cell] ?? 0)));
}

/** Roads along the land; railways on part of them, or transit in straight lines where roads are no more. */
function ways(
  grid: Grid,
  seed: number,
  era: EraLook,
  towns: readonly Town[],
  { heights, waterLevel }: Land,
  slope: Float32Array,
): { roads: Polyline[]; rails: Polyline[] } {
  if (era.plan === 'rings') return { roads: [], rails: straightLinks(towns) };
  if (era.roadWidth === 0) return { roads: [], rails: [] };
  const water = Uint8Array.from(heights, (height) => (height < waterLevel ? 1 : 0));
  const roads = planRoads(grid, seed, towns, { slope, water });
  if (era.railWidth === 0) return { roads, rails: [] };
  return {
    roads: roads.filter((_road, index) => index % 2 === 1),
    rails: roads.filter((_road, index) => index % 2 === 0),
  };
}

/** Each town with the nearest of those before it. */
function straightLinks(towns: readonly Town[]): Polyline[] {
  return towns.slice(1).flatMap((town, index) => {
    const [nearest] = towns
      .slice(0, index + 1)
      .toSorted((a, b) => length(a.u - town.u, a.v - town.v) - length(b.u - town.u, b.v - town.v));
    return nearest === undefined ? [] : [[town.u, town.v, nearest.u, nearest.v]];
  });
}
