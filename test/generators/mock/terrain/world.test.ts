import { describe, expect, it } from 'vitest';
import { gridOf, MARGIN, visibleSize } from '../../../../src/generators/mock/terrain/grid.ts';
import { drawPicture } from '../../../../src/generators/mock/terrain/picture.ts';
import type { Scene, World } from '../../../../src/generators/mock/terrain/world.ts';
import { createWorld } from '../../../../src/generators/mock/terrain/world.ts';
import { BIOMES, ERAS } from '../../../../src/messages/projects.ts';

// Narrow pictures have small worlds, which keeps so many of them quick.
const STRIP = { width: 96, height: 24 };
const SQUARE = { width: 64, height: 64 };
const go = (): void => {};

function world(parts: Partial<Scene> = {}): World {
  return createWorld({ seed: 7, era: 'wilderness', biome: 'temperate_forest', shape: SQUARE, ...parts });
}

/** A depth map of the square's grid, from a height, 0 to 1, of every place, −0.5 to 0.5. */
function depthOf(height: (u: number, v: number) => number): Uint8Array {
  const { width, height: rows } = visibleSize(gridOf(SQUARE));
  return Uint8Array.from({ length: width * rows }, (_value, at) =>
    Math.round(255 * height((at % width) / width - 0.5, Math.floor(at / width) / rows - 0.5)),
  );
}

/** The world's height above its water at a place. */
function aboveWater({ grid, land }: World, u: number, v: number): number {
  const x = Math.floor((u + 0.5) * (grid.width - 2 * MARGIN)) + MARGIN;
  const y = Math.floor((v + 0.5) * (grid.height - 2 * MARGIN)) + MARGIN;
  return (land.heights[y * grid.width + x] ?? 0) - land.waterLevel;
}

function correlation(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(xs), mean(ys)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [at, x] of xs.entries()) {
    const [dx, dy] = [x - mx, (ys[at] ?? 0) - my];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xy / Math.sqrt(xx * yy);
}

const domeAndBowl = (u: number, v: number): number =>
  0.45 +
  0.45 * Math.exp(-((u + 0.22) ** 2 + (v + 0.2) ** 2) / 0.02) -
  0.42 * Math.exp(-((u - 0.2) ** 2 + (v - 0.2) ** 2) / 0.02);

describe('the land of a depth map', () => {
  it.each(BIOMES)('follows the map in the biome %s: its dome is dry, and water only where it was dug', (biome) => {
    const shaped = world({ biome, depth: depthOf(domeAndBowl) });
    const places = Array.from({ length: 400 }, (_place, at) => [
      (at % 20) / 20 - 0.475,
      Math.floor(at / 20) / 20 - 0.475,
    ]);
    const wanted = places.map(([u = 0, v = 0]) => domeAndBowl(u, v));
    const made = places.map(([u = 0, v = 0]) => aboveWater(shaped, u, v));
    expect(correlation(wanted, made)).toBeGreaterThan(0.95);
    expect(aboveWater(shaped, -0.22, -0.2)).toBeGreaterThan(0.3);
    if (shaped.land.waterLevel > 0) expect(aboveWater(shaped, 0.2, 0.2)).toBeLessThan(0);
  });

  it('shows no steps of the map’s 8 bits', () => {
    const gentle = world({ depth: depthOf((u) => 0.5 + 0.04 * u), biome: 'plains' });
    const plain = world({ depth: depthOf((u) => 0.5 + 0.4 * u), biome: 'plains' });
    // A staircase would have most of its slope in few cells, a ramp has it everywhere.
    for (const { fields } of [gentle, plain]) {
      const sorted = fields.slope.toSorted();
      const [median = 0, top = 0] = [sorted[sorted.length >> 1], sorted[Math.floor(sorted.length * 0.99)]];
      expect(top / median).toBeLessThan(8);
    }
  });

  it.each([0, 60, 255])('is land and finite when the map is all %i', (level) => {
    const { land } = world({ depth: depthOf(() => level / 255) });
    expect(land.heights.every(Number.isFinite)).toBe(true);
  });

  it('leaves black around the bowl out of its range of heights', () => {
    const round = (u: number, v: number): number => (Math.hypot(u, v) > 0.47 ? 0 : 0.6 + 0.3 * domeAndBowl(u, v));
    const shaped = world({ depth: depthOf(round) });
    expect(aboveWater(shaped, 0.2, 0.2)).toBeLessThan(0);
    expect(aboveWater(shaped, -0.22, -0.2)).toBeGreaterThan(0.5);
  });
});

describe('the biomes and eras', () => {
  const pictures = BIOMES.flatMap((biome) =>
    ERAS.map((era) => ({ biome, era, data: drawPicture(world({ biome, era, shape: STRIP }), STRIP, go) })),
  );

  function meanColour(data: Uint8Array): number[] {
    const sums = [0, 0, 0];
    for (const [at, value] of data.entries()) sums[at % 3] = (sums[at % 3] ?? 0) + value;
    return sums.map((sum) => sum / (data.length / 3));
  }

  it('all differ from each other', () => {
    expect(new Set(pictures.map(({ data }) => Buffer.from(data).toString('base64'))).size).toBe(pictures.length);
  });

  it('give every biome a colour of its own', () => {
    const colours = pictures.filter(({ era }) => era === 'wilderness').map(({ data }) => meanColour(data));
    for (const [one, colour] of colours.entries()) {
      for (const other of colours.slice(one + 1)) {
        expect(Math.hypot(...colour.map((value, at) => value - (other[at] ?? 0)))).toBeGreaterThan(4);
      }
    }
  });
});

describe('what people build', () => {
  it.each(ERAS.filter((era) => era !== 'wilderness'))(
    'keeps out of the water and off steep slopes in the era %s',
    (era) => {
      const { towns, fields, land } = world({ era, biome: 'coastal' });
      expect(towns.length).toBeGreaterThan(0);
      for (const [cell, built] of fields.urban.entries()) {
        if (built === 0 && fields.farmed[cell] === 0) continue;
        expect((land.heights[cell] ?? 0) >= land.waterLevel).toBe(true);
      }
    },
  );

  it('is nothing in the wilderness', () => {
    const { towns, roads, rails, fields } = world();
    expect([towns, roads, rails]).toEqual([[], [], []]);
    expect(fields.urban.every((built) => built === 0)).toBe(true);
  });
});
