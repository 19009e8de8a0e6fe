import { clamp01 } from './numbers.ts';

/** Cells along the longer side of every picture, whatever its pixels: so all sizes show the same landscape. */
const CELLS = 320;
/** Cells beyond each edge, so that rivers and slopes do not end at it. */
export const MARGIN = 12;
/** Narrow pictures get at least this many cells across. */
const FEWEST_CELLS = 8;

/** Width and height in pixels or cells. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A coarse raster over a picture and `MARGIN` around it. Positions are in parts of the longer side, 0 its middle. */
export interface Grid extends Size {
  /** Cells in one part of the longer side. */
  readonly perUnit: number;
  readonly length: number;
}

/** The grid of pictures of this shape. */
export function gridOf({ width, height }: Size): Grid {
  const longer = Math.max(width, height);
  const across = (side: number): number => Math.max(FEWEST_CELLS, Math.round((CELLS * side) / longer)) + 2 * MARGIN;
  const size = { width: across(width), height: across(height) };
  return { ...size, perUnit: CELLS, length: size.width * size.height };
}

/** The visible part of a grid, in cells. */
export function visibleSize({ width, height }: Grid): Size {
  return { width: width - 2 * MARGIN, height: height - 2 * MARGIN };
}

/** One value for each cell: `value` gets the cell's position. */
export function fillGrid(grid: Grid, value: (u: number, v: number, index: number) => number): Float32Array {
  const cells = new Float32Array(grid.length);
  for (let y = 0, index = 0; y < grid.height; y += 1) {
    const v = (y + 0.5 - grid.height / 2) / grid.perUnit;
    for (let x = 0; x < grid.width; x += 1, index += 1) {
      cells[index] = value((x + 0.5 - grid.width / 2) / grid.perUnit, v, index);
    }
  }
  return cells;
}

/** As `fillGrid` for values without detail: worked out at every second cell each way, and mixed between. */
export function fillSmoothly(grid: Grid, value: (u: number, v: number) => number): Float32Array {
  const { width, height, perUnit } = grid;
  const coarseWidth = (width >> 1) + 2;
  const coarse = new Float32Array(coarseWidth * ((height >> 1) + 2));
  for (let y = 0, at = 0; at < coarse.length; y += 2) {
    const v = (y + 0.5 - height / 2) / perUnit;
    for (let x = 0; x < coarseWidth; x += 1, at += 1) coarse[at] = value((2 * x + 0.5 - width / 2) / perUnit, v);
  }
  const cells = new Float32Array(grid.length);
  for (let y = 0, cell = 0; y < height; y += 1) {
    const below = (y & 1) * 0.5;
    for (let x = 0; x < width; x += 1, cell += 1) {
      const right = (x & 1) * 0.5;
      const at = (y >> 1) * coarseWidth + (x >> 1);
      const upper = (coarse[at] ?? 0) * (1 - right) + (coarse[at + 1] ?? 0) * right;
      const lower = (coarse[at + coarseWidth] ?? 0) * (1 - right) + (coarse[at + coarseWidth + 1] ?? 0) * right;
      cells[cell] = upper * (1 - below) + lower * below;
    }
  }
  return cells;
}

/** A blur near a Gaussian's: `passes` box filters of 2·`radius` + 1 cells each way; edges repeat. */
export function blur(cells: Float32Array, { width, height }: Size, radius: number, passes = 2): Float32Array {
  let from = cells;
  for (let pass = 0; pass < passes; pass += 1) {
    const rows = boxFilter(from, height, width, width, 1, radius);
    from = boxFilter(rows, width, height, 1, width, radius);
  }
  return from;
}

/** A running mean along `lines` lines of `count` cells. */
function boxFilter(
  cells: Float32Array,
  lines: number,
  count: number,
  lineStride: number,
  stride: number,
  radius: number,
): Float32Array {
  const result = new Float32Array(cells.length);
  const share = 1 / (2 * radius + 1);
  const last = count - 1;
  for (let line = 0; line < lines; line += 1) {
    const start = line * lineStride;
    let sum = 0;
    for (let at = -radius; at <= radius; at += 1) {
      sum += cells[start + Math.min(last, Math.max(0, at)) * stride] ?? 0;
    }
    for (let at = 0; at < count; at += 1) {
      result[start + at * stride] = sum * share;
      sum += cells[start + Math.min(last, at + radius + 1) * stride] ?? 0;
      sum -= cells[start + Math.max(0, at - radius) * stride] ?? 0;
    }
  }
  return result;
}

/** The value that the share `q` of the cells lies below, by a histogram of 4096 bins. */
export function quantile(cells: Float32Array, q: number): number {
  const BINS = 4096;
  let low = Infinity;
  let high = -Infinity;
  for (const value of cells) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) return low;
  const counts = new Uint32Array(BINS);
  const scale = (BINS - 1) / (high - low);
  for (const value of cells) {
    const bin = Math.trunc((value - low) * scale);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return low + firstBin(counts, q * cells.length) / scale;
}

function firstBin(counts: Uint32Array, wanted: number): number {
  let below = 0;
  for (let bin = 0; bin < counts.length; bin += 1) {
    below += counts[bin] ?? 0;
    if (below >= wanted) return bin;
  }
  return counts.length - 1;
}

/** Stretches the cells so that the share `q` at either end becomes 0 and 1. */
export function stretch(cells: Float32Array, q: number): Float32Array {
  const low = quantile(cells, q);
  const scale = 1 / Math.max(1e-6, quantile(cells, 1 - q) - low);
  return cells.map((value) => softClamp((value - low) * scale));
}

/** Beyond 0 and 1 values keep their order, compressed. */
function softClamp(value: number): number {
  if (value < 0) return -0.15 * clamp01(-value);
  return value > 1 ? 1 + 0.15 * clamp01(value - 1) : value;
}
