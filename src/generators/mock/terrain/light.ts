import type { Grid } from './grid.ts';
import { blur } from './grid.ts';
import { clamp01 } from './numbers.ts';

/** How far a shadow falls for a height: the cotangent of the sun's altitude. */
const SUN_ALTITUDE_TAN = 0.62;

/** Slope, rise over run, of each cell. */
export function slopes(heights: Float32Array, { width, height, perUnit }: Grid, relief: number): Float32Array {
  const result = new Float32Array(heights.length);
  const scale = 0.5 * perUnit * relief;
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1, cell = y * width + 1; x < width - 1; x += 1, cell += 1) {
      const gx = ((heights[cell + 1] ?? 0) - (heights[cell - 1] ?? 0)) * scale;
      const gy = ((heights[cell + width] ?? 0) - (heights[cell - width] ?? 0)) * scale;
      result[cell] = Math.sqrt(gx * gx + gy * gy);
    }
  }
  return result;
}

/**
 * How much of the sky and of the sun in the north-west reaches each cell, about 0.45 to 1.2: valleys are darker than
 * their surroundings, crests lighter, and what stands south-east of a mountain lies in its shadow.
 */
export function skyLight(heights: Float32Array, grid: Grid, relief: number): Float32Array {
  const wide = blur(heights, grid, 12);
  const near = blur(heights, grid, 4);
  const shadow = castShadows(heights, grid, relief);
  return heights.map((value, cell) => {
    const hollow = (value - (wide[cell] ?? 0)) * 3.2 + (value - (near[cell] ?? 0)) * 5;
    const open = Math.max(-0.28, Math.min(0.2, hollow * relief * 5));
    return (1 + open) * (1 - 0.34 * (shadow[cell] ?? 0));
  });
}

/** One sweep away from the sun: a cell is in shadow as far as the ray over the cell before it passes above. */
function castShadows(heights: Float32Array, grid: Grid, relief: number): Float32Array {
  const { width, height, perUnit } = grid;
  const drop = (SUN_ALTITUDE_TAN * Math.SQRT2) / (perUnit * relief);
  const rays = heights.slice();
  const shadow = new Float32Array(heights.length);
  for (let y = 1; y < height; y += 1) {
    for (let x = 1, cell = y * width + 1; x < width; x += 1, cell += 1) {
      const ray = (rays[cell - width - 1] ?? 0) - drop;
      const here = heights[cell] ?? 0;
      rays[cell] = Math.max(ray, here);
      shadow[cell] = clamp01((ray - here) * 30);
    }
  }
  return blur(shadow, grid, 1, 1);
}
