import type { Grid } from './grid.ts';
import { MARGIN } from './grid.ts';
import { hash } from './numbers.ts';
import type { Town } from './settlements.ts';

/** Roads are planned on every third cell. */
const COARSE = 3;

/** Points one after the other, as u, v, u, v … in the grid's units. */
export type Polyline = readonly number[];

/**
 * Roads between neighbouring towns and out of the picture, each on the cheapest way over the land. One search spreads
 * from all towns at once (Dijkstra); where two of them meet cheapest, a road joins them.
 */
export function planRoads(
  grid: Grid,
  seed: number,
  towns: readonly Town[],
  { slope, water }: { slope: Float32Array; water: Uint8Array },
): Polyline[] {
  if (towns.length === 0) return [];
  const width = Math.floor(grid.width / COARSE);
  const height = Math.floor(grid.height / COARSE);
  const cellOf = (node: number): number =>
    (Math.floor(node / width) * COARSE + 1) * grid.width + (node % width) * COARSE + 1;

  const costs = Float32Array.from({ length: width * height }, (_cost, node) => {
    const cell = cellOf(node);
    const steep = slope[cell] ?? 0;
    return (1 + 14 * steep * steep + 0.8 * hash(node, 1, seed)) * (water[cell] === 1 ? 12 : 1);
  });
  const gates = edgeGates(width, height, costs);
  const sources = [...towns.map(({ cell }) => nodeOf(cell)), ...gates];
  const { parents, owners, spent } = spread(width, height, costs, sources);

  const joins = new Map<string, { cost: number; a: number; b: number }>();
  for (let node = 0; node < width * height; node += 1) {
    for (const near of [node + 1, node + width]) {
      if (near >= width * height || (near === node + 1 && near % width === 0)) continue;
      const [one = 0, two = 0] = [owners[node], owners[near]];
      if (one === two || (one >= towns.length && two >= towns.length)) continue;
      const key = one < two ? `${one}-${two}` : `${two}-${one}`;
      const cost = (spent[node] ?? 0) + (spent[near] ?? 0);
      if (cost < (joins.get(key)?.cost ?? Infinity)) joins.set(key, { cost, a: node, b: near });
    }
  }
  return [...joins.values()].map(({ a, b }) => smooth([...way(a).reverse(), ...way(b)].flatMap(positionOf)));

  function nodeOf(cell: number): number {
    const x = Math.min(width - 1, Math.floor((cell % grid.width) / COARSE));
    return Math.min(height - 1, Math.floor(cell / grid.width / COARSE)) * width + x;
  }

  function way(from: number): number[] {
    const nodes = [from];
    for (let node = from, up = parents[node] ?? node; up !== node; node = up, up = parents[node] ?? node)
      nodes.push(up);
    return nodes;
  }

  function positionOf(node: number): [number, number] {
    const cell = cellOf(node);
    const x = (cell % grid.width) + 0.5 - grid.width / 2;
    return [x / grid.perUnit, (Math.floor(cell / grid.width) + 0.5 - grid.height / 2) / grid.perUnit];
  }
}

/** The cheapest node of each edge, where roads leave the picture. */
function edgeGates(width: number, height: number, costs: Float32Array): number[] {
  const inset = Math.floor(MARGIN / COARSE / 2);
  const columns = Array.from({ length: Math.max(0, width - 8) }, (_node, x) => x + 4);
  const rows = Array.from({ length: Math.max(0, height - 8) }, (_node, y) => y + 4);
  const edges = [
    columns.map((x) => inset * width + x),
    columns.map((x) => (height - 1 - inset) * width + x),
    rows.map((y) => y * width + inset),
    rows.map((y) => y * width + width - 1 - inset),
  ];
  return edges.flatMap((nodes) => {
    const [first] = nodes.toSorted((a, b) => (costs[a] ?? 0) - (costs[b] ?? 0));
    return first === undefined ? [] : [first];
  });
}

/** Spreads from all sources; each node gets the source that reaches it cheapest, and its way back. */
function spread(width: number, height: number, costs: Float32Array, sources: readonly number[]) {
  const count = width * height;
  const spent = new Float32Array(count).fill(Infinity);
  const parents = Int32Array.from({ length: count }, (_parent, node) => node);
  const owners = new Int32Array(count);
  // Costs are rounded to buckets of 0.5 for a queue without a heap; the error is far below the noise in the costs.
  const buckets: number[][] = [];
  const push = (node: number): void => {
    const bucket = Math.floor((spent[node] ?? 0) * 2);
    const nodes = buckets[bucket] ?? [];
    nodes.push(node);
    buckets[bucket] = nodes;
  };
  for (const [owner, node] of sources.entries()) {
    spent[node] = 0;
    owners[node] = owner;
    push(node);
  }
  for (let bucket = 0; bucket < buckets.length; bucket += 1) {
    const nodes = buckets[bucket] ?? [];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      const x = node % width;
      for (let dy = -1; dy <= 1; dy += 1) {
        for (let dx = -1; dx <= 1; dx += 1) {
          const near: number = node + dy * width + dx;
          if (near < 0 || near >= count || x + dx < 0 || x + dx >= width || near === node) continue;
          const cost = (spent[node] ?? 0) + (costs[near] ?? 0) * (dx !== 0 && dy !== 0 ? Math.SQRT2 : 1);
          if (cost >= (spent[near] ?? 0)) continue;
          spent[near] = cost;
          parents[near] = node;
          owners[near] = owners[node] ?? 0;
          push(near);
        }
      }
    }
  }
  return { parents, owners, spent };
}

/** Two rounds of corner cutting (Chaikin 1974), the ends kept. */
function smooth(points: readonly number[]): Polyline {
  let line = points;
  for (let round = 0; round < 2; round += 1) {
    const cut: number[] = line.slice(0, 2);
    for (let at = 0; at + 3 < line.length; at += 2) {
      const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = line.slice(at, at + 4);
      cut.push(0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1, 0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1);
    }
    cut.push(...line.slice(-2));
    line = cut;
  }
  return line;
}
