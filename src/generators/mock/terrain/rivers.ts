import type { Grid } from './grid.ts';
import type { Land } from './heightmap.ts';

/** Share of a square picture that must drain through a place before a river shows there. */
const LEAST_CATCHMENT = 0.004;
/** Width of a river at its source, and of the widest, in the grid's units, where rivers are 1. */
const SOURCE_WIDTH = 0.0012;
const WIDEST = 0.008;
/** A rise that a river may still cross, because the slopes creep after the last erosion. */
const HOLLOW = 0.002;
/** How often the eight directions of the grid are smoothed away. */
const SMOOTHINGS = 4;

/** Pieces of rivers, five numbers each: u and v of both ends, and the width. */
export type RiverPieces = Float32Array;

/** Rivers along the drainage, wider the more water they carry: width grows as the root of it (Leopold & Maddock 1953). */
export function traceRivers(grid: Grid, land: Land, factor: number): RiverPieces {
  const { receivers, area } = land.drainage;
  const least = (LEAST_CATCHMENT * grid.perUnit ** 2) / Math.max(0.2, factor);
  const cells: number[] = [];
  if (factor > 0) {
    for (let cell = 0; cell < grid.length; cell += 1) {
      const here = land.heights[cell] ?? 0;
      const to = receivers[cell] ?? cell;
      // Water that is routed uphill fills a hollow; it is no river there.
      const falls = to !== cell && (land.heights[to] ?? 0) < here + HOLLOW;
      if (falls && (area[cell] ?? 0) >= least && here >= land.waterLevel) cells.push(cell);
    }
  }
  const [us, vs] = smoothCourse(grid, cells, receivers);
  const pieces = new Float32Array(cells.length * 5);
  for (const [index, cell] of cells.entries()) {
    const to = receivers[cell] ?? cell;
    const width = Math.min(WIDEST, SOURCE_WIDTH * Math.sqrt((area[cell] ?? 0) / least)) * factor;
    pieces.set([us[cell] ?? 0, vs[cell] ?? 0, us[to] ?? 0, vs[to] ?? 0, width], index * 5);
  }
  return pieces;
}

/** Positions of cells, those of rivers moved towards what flows in and out. */
function smoothCourse(grid: Grid, cells: readonly number[], receivers: Int32Array): [Float32Array, Float32Array] {
  const us = new Float32Array(grid.length);
  const vs = new Float32Array(grid.length);
  for (let cell = 0; cell < grid.length; cell += 1) {
    const x = cell % grid.width;
    us[cell] = (x + 0.5 - grid.width / 2) / grid.perUnit;
    vs[cell] = ((cell - x) / grid.width + 0.5 - grid.height / 2) / grid.perUnit;
  }
  const inflow = new Int32Array(grid.length).fill(-1);
  for (const cell of cells) inflow[receivers[cell] ?? 0] = cell;
  for (let round = 0; round < SMOOTHINGS; round += 1) {
    for (const positions of [us, vs]) {
      const before = positions.slice();
      for (const cell of cells) {
        const to = before[receivers[cell] ?? cell] ?? 0;
        const from = before[(inflow[cell] ?? -1) < 0 ? cell : (inflow[cell] ?? cell)] ?? 0;
        positions[cell] = 0.5 * (before[cell] ?? 0) + 0.25 * (to + from);
      }
    }
  }
  return [us, vs];
}
