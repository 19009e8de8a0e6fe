import type { BiomeLook } from './biome-look.ts';
import type { Drainage } from './erosion.ts';
import { erode, routeWater } from './erosion.ts';
import type { Grid } from './grid.ts';
import { blur, fillGrid, fillSmoothly, MARGIN, quantile, stretch, visibleSize } from './grid.ts';
import { fractal, length, noiseOf, ridged, smoothstep } from './numbers.ts';

const EROSION_STEPS = 4;
/** Water keeps its course for so many steps: to find a new one takes ten times as long as a step. */
const STEPS_PER_COURSE = 2;
/** Strength of one step of erosion for a biome whose erosion is 1. */
const EROSION_POWER = 0.045;
/** How far the land rises against each step of erosion. */
const UPLIFT = 0.4;
/** How deep hollows of the sand may be to fill up; deeper ones were dug on purpose. */
const SILT = 0.012;
/** Least range of heights in a depth map, so that noise of a flat one does not become mountains. */
const LEAST_RANGE = 0.15;
/** Least share of a depth map that black may take to count as unseen rather than as low. */
const UNSEEN_SHARE = 0.02;
/** How far erosion and detail may move the land from the depth map. */
const FREEDOM = 0.05;

/** The land: heights from about 0 to 1, and the height of the water among them; −1 when there is none. */
export interface Land {
  readonly heights: Float32Array;
  readonly waterLevel: number;
  readonly drainage: Drainage;
}

/** Grey values of a depth map, brighter is higher, as large as the visible part of the grid. */
export type DepthGrid = Uint8Array;

/** The eroded land of a seed, in the biome's shape or, with a depth map, in that one's. */
export function createLand(grid: Grid, seed: number, look: BiomeLook, depth?: DepthGrid): Land {
  const base = depth === undefined ? naturalHeights(grid, seed, look) : sandHeights(grid, seed, look, depth);
  const sea = levelOf(base, look, depth !== undefined);
  const power = EROSION_POWER * look.erosion;
  let heights: Float32Array = base.slice();
  let drainage = routeWater(heights, grid, sea, seed);
  for (let step = 0; step < EROSION_STEPS; step += 1) {
    if (depth === undefined) rise(heights, base, sea);
    if (step > 0 && step % STEPS_PER_COURSE === 0) drainage = routeWater(heights, grid, sea, seed + step);
    erode(heights, grid, drainage, power, depth === undefined ? Infinity : SILT);
    if (depth !== undefined) keepNear(heights, base);
  }
  if (depth === undefined) heights = stretch(heights, 0.005);
  const waterLevel = depth === undefined ? levelOf(heights, look, false) : sea;
  return { heights, waterLevel, drainage: routeWater(heights, grid, waterLevel, seed) };
}

function rise(heights: Float32Array, base: Float32Array, sea: number): void {
  for (let cell = 0; cell < heights.length; cell += 1) {
    const land = Math.max(0, (base[cell] ?? 0) - Math.max(0, sea));
    heights[cell] = (heights[cell] ?? 0) + UPLIFT * land;
  }
}

function levelOf(heights: Float32Array, { water }: BiomeLook, fromDepth: boolean): number {
  if (water === 0) return -1;
  // A depth map's own hollows hold the water, as the visitors dug them: a level, not a share of the picture.
  return fromDepth ? 0.08 + 0.55 * water : quantile(heights, water);
}

function keepNear(heights: Float32Array, base: Float32Array): void {
  for (let cell = 0; cell < heights.length; cell += 1) {
    const wanted = base[cell] ?? 0;
    heights[cell] = Math.min(wanted + FREEDOM, Math.max(wanted - FREEDOM, heights[cell] ?? 0));
  }
}

/** Fractal and ridged noise, its domain warped by other noise (Quilez, “Domain warping”, 2002), in the biome's form. */
function naturalHeights(grid: Grid, seed: number, look: BiomeLook): Float32Array {
  const relief = noisyRelief(grid, seed, look);
  const shape = formOf(seed, look.form);
  return stretch(
    fillGrid(grid, (u, v, cell) => shape(u, v, relief[cell] ?? 0)),
    0.01,
  );
}

function noisyRelief(grid: Grid, seed: number, { frequency, ridges }: BiomeLook): Float32Array {
  const noise = noiseOf(seed, 'relief');
  const warp = noiseOf(seed, 'warp');
  return fillSmoothly(grid, (u, v) => {
    const x = u * frequency;
    const y = v * frequency;
    const wx = x + 0.3 * warp(x * 0.7, y * 0.7) + 0.05 * warp(x * 2.6, y * 2.6);
    const wy = y + 0.3 * warp(x * 0.7 + 40, y * 0.7) + 0.05 * warp(x * 2.6 + 40, y * 2.6);
    const rolling = 0.5 + 0.5 * fractal(noise, wx * 0.7, wy * 0.7, 5);
    return rolling + ridges * (0.5 * ridged(noise, wx * 0.55 + 7, wy * 0.55, 4) - 0.2 * rolling);
  });
}

/** What a form makes of the relief at a place: a coast, an island, a wide valley, or hills as they are. */
function formOf(seed: number, form: BiomeLook['form']): (u: number, v: number, relief: number) => number {
  const noise = noiseOf(seed, 'form');
  const angle = noise(0.5, 0.5) * Math.PI * 2;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  if (form === 'coast') {
    return (u, v, relief) => 0.8 * relief + 1.5 * smoothstep(-0.45, 0.5, u * cos + v * sin);
  }
  if (form === 'island') {
    return (u, v, relief) => {
      const near = length(u + 0.1 * cos, v + 0.1 * sin);
      const islet = length(u - 0.3 * cos, v - 0.3 * sin);
      return 0.75 * relief + 0.75 * (1 - smoothstep(0.05, 0.5, near)) + 0.3 * (1 - smoothstep(0, 0.2, islet));
    };
  }
  if (form === 'valley') {
    return (u, v, relief) => {
      const along = u * cos + v * sin;
      const across = v * cos - u * sin;
      const bed = 0.13 * noise(along * 2.3, 3) + 0.06 * noise(along * 5.1, 9);
      const off = Math.abs(across - bed);
      // Two arms that part and meet again around bars.
      const arm = Math.abs(off - 0.022 - 0.02 * noise(along * 4, 21));
      return 0.45 * relief + 1.1 * smoothstep(0.02, 0.5, off) + 0.1 * smoothstep(0, 0.03, arm);
    };
  }
  return (_u, _v, relief) => relief;
}

/** The depth map's heights, freed of their 256 steps, with a little relief of the biome's own. */
function sandHeights(grid: Grid, seed: number, look: BiomeLook, depth: DepthGrid): Float32Array {
  const levels = withMargin(grid, depth);
  const smooth = withoutSteps(grid, levels);
  const [low, high] = rangeOf(levels);
  const detail = noisyRelief(grid, seed, { ...look, frequency: look.frequency * 2.2 });
  const scale = 1 / Math.max(LEAST_RANGE, high - low);
  const floor = Math.min(low, Math.max(0, high - LEAST_RANGE));
  return smooth.map(
    (value, cell) => Math.min(1.1, Math.max(0, (value - floor) * scale)) * 0.94 + 0.07 * (detail[cell] ?? 0) - 0.02,
  );
}

/** The map with its outermost pixels repeated in the margin, 0 to 1. */
function withMargin(grid: Grid, depth: DepthGrid): Float32Array {
  const { width, height } = visibleSize(grid);
  const cells = new Float32Array(grid.length);
  for (let y = 0, cell = 0; y < grid.height; y += 1) {
    const row = Math.min(height - 1, Math.max(0, y - MARGIN)) * width;
    for (let x = 0; x < grid.width; x += 1, cell += 1) {
      cells[cell] = (depth[row + Math.min(width - 1, Math.max(0, x - MARGIN))] ?? 0) / 255;
    }
  }
  return cells;
}

/** Smooths as far as rounding to 8 bits may have hidden the true value: half a step, and a little for the camera. */
function withoutSteps(grid: Grid, levels: Float32Array): Float32Array {
  const slack = 0.8 / 255;
  let smooth = levels;
  for (const radius of [8, 5, 3, 2, 1]) {
    smooth = blur(smooth, grid, radius).map((value, cell) => {
      const level = levels[cell] ?? 0;
      return Math.min(level + slack, Math.max(level - slack, value));
    });
  }
  return blur(smooth, grid, 1, 2);
}

/** Lowest and highest seen value. Cameras give black where they see nothing, which would squeeze all else. */
function rangeOf(levels: Float32Array): [number, number] {
  const seen = levels.filter((value) => value > 0);
  if (seen.length === 0) return [0, 0];
  const unseen = 1 - seen.length / levels.length;
  return [unseen > UNSEEN_SHARE ? quantile(seen, 0.01) : quantile(levels, 0.005), quantile(seen, 0.998)];
}
