import type { Size } from './grid.ts';
import { hash } from './numbers.ts';

/** Heights are sorted into this many steps while water is routed. */
const LEVELS = 4096;
/** How far one neighbour is preferred by chance: without it, all water runs along eight directions. */
const WANDER = 0.9;

/** Where the water of each cell goes. */
export interface Drainage {
  /** The next cell downstream; itself for outlets. */
  readonly receivers: Int32Array;
  /** All cells, each after its receiver. */
  readonly order: Int32Array;
  /** Cells that drain through each cell, itself among them. */
  readonly area: Float32Array;
}

/**
 * Routes water from every cell to the water below `level` or off the grid, out of hollows too: a priority flood
 * (Barnes, Lehman & Mulla 2014) with buckets for a queue, then the steepest way among the cells it came from.
 */
export function routeWater(heights: Float32Array, size: Size, level: number, salt: number): Drainage {
  const { width, height } = size;
  const count = width * height;
  const receivers = new Int32Array(count);
  const order = new Int32Array(count);
  // 0 unseen, 1 queued, 2 done.
  const state = new Uint8Array(count);
  const first = new Int32Array(LEVELS).fill(-1);
  const last = new Int32Array(LEVELS).fill(-1);
  const next = new Int32Array(count);
  // The four cells next to one, then the four across its corners.
  const ways = [1, -1, width, -width, width + 1, 1 - width, width - 1, -1 - width];

  let lowest = Infinity;
  let highest = -Infinity;
  for (const value of heights) {
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  const perHeight = (LEVELS - 1) / Math.max(1e-6, highest - lowest);
  const bucketOf = (cell: number): number => Math.trunc(((heights[cell] ?? 0) - lowest) * perHeight);
  const enqueue = (cell: number, from: number, bucket: number): void => {
    state[cell] = 1;
    receivers[cell] = from;
    next[cell] = -1;
    // First come, first served: over level ground the flood then spreads as a front.
    const before = last[bucket] ?? -1;
    if (first[bucket] === -1) first[bucket] = cell;
    else next[before] = cell;
    last[bucket] = cell;
  };

  for (let cell = 0; cell < count; cell += 1) {
    const x = cell % width;
    const edge = x === 0 || x === width - 1 || cell < width || cell >= count - width;
    if (edge || (heights[cell] ?? 0) < level) enqueue(cell, cell, bucketOf(cell));
  }

  let done = 0;
  for (let bucket = 0; bucket < LEVELS; bucket += 1) {
    for (let cell = first[bucket] ?? -1; cell >= 0; cell = first[bucket] ?? -1) {
      first[bucket] = next[cell] ?? -1;
      state[cell] = 2;
      order[done] = cell;
      done += 1;
      visit(cell, bucket);
    }
  }

  const area = new Float32Array(count).fill(1);
  for (let at = count - 1; at >= 0; at -= 1) {
    const cell = order[at] ?? 0;
    const to = receivers[cell] ?? 0;
    if (to !== cell) area[to] = (area[to] ?? 0) + (area[cell] ?? 0);
  }
  return { receivers, order, area };

  /**
   * Queues what is new around a cell and finds its own steepest way down. Cells at the edge need no care: they are
   * outlets and all queued from the start, so what seems to lie across the edge is never new to them.
   */
  function visit(cell: number, bucket: number): void {
    const outlet = receivers[cell] === cell;
    const here = heights[cell] ?? 0;
    let steepest = 0;
    for (let way = 0; way < 8; way += 1) {
      const near = cell + (ways[way] ?? 0);
      if (state[near] === 0) enqueue(near, cell, Math.max(bucket, bucketOf(near)));
      else if (state[near] === 2 && !outlet) {
        const fall = (here - (heights[near] ?? 0)) * (way < 4 ? 1 : Math.SQRT1_2);
        if (fall <= steepest) continue;
        const drop = fall * (1 - WANDER * hash(cell, way, salt));
        if (drop > steepest) {
          steepest = drop;
          receivers[cell] = near;
        }
      }
    }
  }
}

/**
 * One step of erosion by running water, in place: the stream-power law dh/dt = −K·A^½·S, solved implicitly from the
 * outlets up, in one pass (Braun & Willett 2013), with a little creep that rounds the slopes. Hollows
 * fill up, each step by at most `fill`.
 */
export function erode(
  heights: Float32Array,
  { width, height }: Size,
  drainage: Drainage,
  strength: number,
  fill: number,
): void {
  const { receivers, order, area } = drainage;
  for (let at = 0; at < order.length; at += 1) {
    const cell = order[at] ?? 0;
    const to = receivers[cell] ?? 0;
    const here = heights[cell] ?? 0;
    const below = heights[to] ?? 0;
    if (to === cell) continue;
    if (below >= here) {
      if (below - here < fill) heights[cell] = below + 1e-5;
      continue;
    }
    const power = strength * Math.sqrt(area[cell] ?? 0);
    heights[cell] = (here + power * below) / (1 + power);
  }
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1, cell = y * width + 1; x < width - 1; x += 1, cell += 1) {
      const around =
        (heights[cell - 1] ?? 0) +
        (heights[cell + 1] ?? 0) +
        (heights[cell - width] ?? 0) +
        (heights[cell + width] ?? 0);
      heights[cell] = 0.84 * (heights[cell] ?? 0) + 0.04 * around;
    }
  }
}
