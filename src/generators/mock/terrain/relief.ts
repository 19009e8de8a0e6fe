import type { Size } from './grid.ts';
import { clamp01, noiseOf, smoothstep } from './numbers.ts';
import { createRowReader } from './sampling.ts';
import { createWave } from './waves.ts';
import type { World } from './world.ts';

/** Waves of the fine noise, in periods across the picture, each drawn only where pixels can show it. */
const WAVES = [92, 205, 430, 900, 1850];
/** Slope that the fine noise adds, as rise over run. */
const ROUGHNESS = 0.075;
const CROWNS = 0.16;
const DUNES = 58;

/** The land at the size of the picture. */
export interface Relief {
  readonly heights: Float32Array;
  /** Fine noise, −127 to 127. */
  readonly grain: Int8Array;
  /** How far a pixel is under trees, 0 to 255. */
  readonly cover: Uint8Array;
}

/** Brings the world's heights to the pixels and adds what is finer than its cells: roughness, crowns of trees, dunes. */
export function createRelief(world: World, size: Size, checkpoint: () => void): Relief {
  const { width, height } = size;
  const { grid, land, look, fields, seed } = world;
  const { biome } = look;
  const longer = Math.max(width, height);
  const reader = createRowReader(grid, size);
  const sources = [fields.moisture, fields.slope, fields.mottle];
  const moistures = new Float32Array(grid.width);
  const slopeRow = new Float32Array(grid.width);
  const mottles = new Float32Array(grid.width);
  const rows = [moistures, slopeRow, mottles];
  const heights = new Float32Array(width * height);
  const grain = new Int8Array(width * height);
  const cover = new Uint8Array(width * height);

  const noise = noiseOf(seed, 'detail');
  const waves = WAVES.filter((wave) => wave < longer * 0.5).map((wave) => createWave(noise, wave, size));
  const finest = waves.at(-1)?.frequency ?? 1;
  const seen = new Uint8Array(width);
  const roughs = new Float32Array(width);
  const fines = new Float32Array(width);
  const toHeight = 1 / biome.relief;
  const level = Math.max(0, land.waterLevel);
  const treeBase = 0.5 - biome.cover;
  const windCos = Math.cos(seed);
  const windSin = Math.sin(seed);
  const dunes = biome.texture === 'dunes' && longer > 2 * DUNES;

  for (let y = 0, at = 0; y < height; y += 1) {
    checkpoint();
    reader.cubic(land.heights, y, heights, at);
    reader.linear(sources, rows, y);
    const v = (y + 0.5 - height / 2) / longer;
    for (let x = 0; x < width; x += 1) seen[x] = (heights[at + x] ?? 0) < land.waterLevel - 0.03 ? 0 : 1;
    const lasts = sumWaves(y);
    for (let x = 0; x < width; x += 1, at += 1) {
      const u = (x + 0.5 - width / 2) / longer;
      const cell = reader.cells[x] ?? 0;
      const share = reader.shares[x] ?? 0;
      const slope = (slopeRow[cell] ?? 0) * (1 - share) + (slopeRow[cell + 1] ?? 0) * share;
      const moisture = (moistures[cell] ?? 0) * (1 - share) + (moistures[cell + 1] ?? 0) * share;
      const mottle = (mottles[cell] ?? 0) * (1 - share) + (mottles[cell + 1] ?? 0) * share;
      const here = heights[at] ?? 0;
      if (seen[x] === 0) continue;

      const rough = roughs[x] ?? 0;
      const fine = fines[x] ?? 0;
      const last = lasts[x] ?? 0;
      const climb = (here - level) / (1 - level);
      const wooded =
        biome.cover === 0
          ? 0
          : smoothstep(
              treeBase - 0.06,
              treeBase + 0.06,
              (moisture - 0.5) * 0.7 +
                mottle * 0.32 +
                fine * 0.13 -
                6 * Math.max(0, climb - biome.treeLine) -
                0.25 * slope,
            ) * clamp01((here - land.waterLevel) * 90);
      let rise = rough * ROUGHNESS * (0.3 + 1.2 * clamp01(slope * 2)) + wooded * last * (CROWNS / finest);
      if (dunes) rise += duneAt(u * windCos + v * windSin, mottle, slope) * dryness(moisture);
      heights[at] = here + rise * toHeight;
      grain[at] = Math.max(-127, Math.min(127, fine * 105));
      cover[at] = wooded * 255;
    }
  }
  return { heights, grain, cover };

  /** Puts the sums of all waves of a row into `roughs` and `fines`; returns the finest one. */
  function sumWaves(y: number): Float32Array {
    roughs.fill(0);
    fines.fill(0);
    let values: Float32Array = roughs;
    let weight = 0.6;
    for (const [octave, wave] of waves.entries()) {
      values = wave.row(y, seen);
      const share = 1 / wave.frequency;
      // Folded noise has creases where it would cross zero: gullies.
      const folded = octave < 2;
      for (let x = 0; x < width; x += 1) {
        const value = values[x] ?? 0;
        roughs[x] = (roughs[x] ?? 0) + (folded ? 1.7 * Math.abs(value) - 0.5 : value) * share;
        fines[x] = (fines[x] ?? 0) + weight * value;
      }
      weight *= 0.6;
    }
    return values;
  }

  /** A long slope against the wind and a short one behind the crest, bent by the mottling. */
  function duneAt(along: number, bend: number, slope: number): number {
    const phase = along * DUNES + bend * 1.3;
    const t = phase - Math.floor(phase);
    const profile = t < 0.72 ? t / 0.72 : (1 - t) / 0.28;
    return (0.12 / DUNES) * profile * (1 - smoothstep(0.1, 0.4, slope)) * (0.25 + 0.75 * smoothstep(-0.35, 0.45, bend));
  }
}

/** Dunes lie where it is dry. */
function dryness(moisture: number): number {
  return 1 - smoothstep(0.45, 0.7, moisture);
}
