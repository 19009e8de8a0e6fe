import type { BiomeLook } from './biome-look.ts';
import type { EraLook } from './era-look.ts';
import type { Grid } from './grid.ts';
import { blur, fillGrid, fillSmoothly, MARGIN } from './grid.ts';
import type { Land } from './heightmap.ts';
import { clamp01, fractal, length, noiseOf, randomOf, smoothstep } from './numbers.ts';

const CANDIDATES = 500;

/** A town: its middle and reach in the grid's units, and its cell. */
export interface Town {
  readonly u: number;
  readonly v: number;
  readonly radius: number;
  readonly cell: number;
}

/** Where people live and farm. Fields are 0 to 1 for each cell. */
export interface Settlements {
  readonly towns: readonly Town[];
  readonly urban: Float32Array;
  readonly farmed: Float32Array;
  readonly smoke: Float32Array;
}

/** How well each cell can be built on, 0 to 1: dry, level, low, and rather not parched. */
export function suitability(land: Land, slope: Float32Array, moisture: Float32Array): Float32Array {
  const { heights, waterLevel } = land;
  const level = Math.max(0, waterLevel);
  return heights.map((value, cell) => {
    const flat = 1 - smoothstep(0.18, 0.55, slope[cell] ?? 0);
    const dry = smoothstep(waterLevel, waterLevel + 0.025, value);
    const low = 1 - 0.75 * clamp01((value - level) / (1 - level));
    return flat * dry * low * (0.75 + 0.25 * (moisture[cell] ?? 0));
  });
}

/** Settles the land as the era does. */
export function settle(
  grid: Grid,
  seed: number,
  { biome, era }: { biome: BiomeLook; era: EraLook },
  suitable: Float32Array,
): Settlements {
  const empty = new Float32Array(grid.length);
  if (era.towns === 0) return { towns: [], urban: empty, farmed: empty, smoke: empty };
  const towns = foundTowns(grid, seed, era, suitable);
  return {
    towns,
    urban: urbanField(grid, seed, era, towns, suitable),
    farmed: era.fields * biome.arable === 0 ? empty : farmField(grid, seed, era.fields * biome.arable, towns, suitable),
    smoke: era.smoke === 0 ? empty : smokeField(grid, seed, era, towns),
  };
}

/** The best of random places, each at a distance from those before it; the first town is the largest. */
function foundTowns(grid: Grid, seed: number, era: EraLook, suitable: Float32Array): Town[] {
  // The same numbers for every era: towns stay where they were founded.
  const random = randomOf(seed, 'towns');
  const around = blur(suitable, grid, 4);
  const places = Array.from({ length: CANDIDATES }, () => {
    const x = MARGIN + 4 + Math.floor(random() * (grid.width - 2 * MARGIN - 8));
    const y = MARGIN + 4 + Math.floor(random() * (grid.height - 2 * MARGIN - 8));
    const cell = y * grid.width + x;
    const worth = (around[cell] ?? 0) * (suitable[cell] ?? 0) * (0.55 + 0.45 * random());
    return { u: (x + 0.5 - grid.width / 2) / grid.perUnit, v: (y + 0.5 - grid.height / 2) / grid.perUnit, cell, worth };
  }).sort((a, b) => b.worth - a.worth);

  const towns: Town[] = [];
  for (const { u, v, cell, worth } of places) {
    if (towns.length === era.towns || (worth < 0.04 && towns.length > 1)) break;
    if (towns.some((town) => length(town.u - u, town.v - v) < 0.13)) continue;
    const size = towns.length === 0 ? 1.35 : 0.5 + 0.6 * random();
    towns.push({ u, v, cell, radius: era.townRadius * size });
  }
  return towns;
}

/** Densest in the middle of towns, ragged at their edges, thin where building is hard. */
function urbanField(
  grid: Grid,
  seed: number,
  era: EraLook,
  towns: readonly Town[],
  suitable: Float32Array,
): Float32Array {
  const noise = noiseOf(seed, 'suburbs');
  const ragged = fillSmoothly(grid, (u, v) => 0.45 * fractal(noise, u * 9, v * 9, 3));
  return fillGrid(grid, (u, v, cell) => {
    let reach = 0;
    for (const town of towns) {
      reach = Math.max(reach, 1 - length(town.u - u, town.v - v) / town.radius);
    }
    if (reach <= 0) return 0;
    return era.density * clamp01(reach * 1.5 + (ragged[cell] ?? 0)) * smoothstep(0.02, 0.22, suitable[cell] ?? 0);
  });
}

function farmField(
  grid: Grid,
  seed: number,
  share: number,
  towns: readonly Town[],
  suitable: Float32Array,
): Float32Array {
  const noise = noiseOf(seed, 'farms');
  const spread = fillSmoothly(grid, (u, v) => 0.4 * fractal(noise, u * 5, v * 5, 3));
  return fillGrid(grid, (u, v, cell) => {
    let near = 0;
    for (const town of towns) near = Math.max(near, 1 - length(town.u - u, town.v - v) / (0.1 + share * 0.35));
    const wanted = share * 0.75 + 0.45 * clamp01(near) + (spread[cell] ?? 0) - 0.3;
    return smoothstep(0.02, 0.45, wanted) * smoothstep(0.1, 0.4, suitable[cell] ?? 0);
  });
}

/** Plumes that drift with the wind from the towns, wider and thinner on their way. */
function smokeField(grid: Grid, seed: number, era: EraLook, towns: readonly Town[]): Float32Array {
  const random = randomOf(seed, 'smoke');
  const smoke = new Float32Array(grid.length);
  const wind = 0.4 + 0.5 * random();
  for (const town of towns) {
    for (let stack = 0; stack < 3; stack += 1) {
      const from = { u: town.u + (random() - 0.5) * town.radius, v: town.v + (random() - 0.5) * town.radius };
      plume(grid, smoke, from, wind + (random() - 0.5) * 0.2, era.smoke * (0.5 + random()));
    }
  }
  return smoke;
}

function plume(grid: Grid, smoke: Float32Array, from: { u: number; v: number }, wind: number, thickness: number): void {
  const STEPS = 40;
  for (let step = 0; step < STEPS; step += 1) {
    const far = step / STEPS;
    const bend = wind + 0.35 * Math.sin(far * 5 + from.u * 40);
    const x = (from.u + 0.17 * far * Math.cos(bend)) * grid.perUnit + grid.width / 2;
    const y = (from.v + 0.17 * far * Math.sin(bend)) * grid.perUnit + grid.height / 2;
    const radius = 1.5 + 9 * far;
    const amount = (0.5 * thickness * (1 - far)) / (0.8 + 2.2 * far);
    for (let cy = Math.max(0, Math.floor(y - radius)); cy <= Math.min(grid.height - 1, y + radius); cy += 1) {
      for (let cx = Math.max(0, Math.floor(x - radius)); cx <= Math.min(grid.width - 1, x + radius); cx += 1) {
        const near = clamp01(1 - length(cx - x, cy - y) / radius);
        const cell = cy * grid.width + cx;
        smoke[cell] = Math.min(1, (smoke[cell] ?? 0) + amount * near * near);
      }
    }
  }
}
