import type { BiomeLook } from './biome-look.ts';
import { createDistricts } from './districts.ts';
import type { EraLook } from './era-look.ts';
import { hash, length } from './numbers.ts';
import { setPaint } from './paint.ts';
import type { Painter } from './spot.ts';

const FALLBACK = [150, 140, 90] as const;

/** The era's fields in the biome's crops; transparent where nothing is farmed. */
export function createFarmland(seed: number, look: { biome: BiomeLook; era: EraLook }): Painter {
  return look.era.fieldShape === 'circles' ? circles(seed, look) : strips(seed, look);
}

/** Fields side by side, their rows shifted, turned anew from parish to parish, with hedges between. */
function strips(seed: number, { biome: { crops }, era }: { biome: BiomeLook; era: EraLook }): Painter {
  const districtAt = createDistricts(seed);
  const parishes = era.fieldCount / 6;
  return (paint, { u, v, farmed }) => {
    const { id, cos, sin, border } = districtAt(u * parishes, v * parishes);
    const across = (u * cos + v * sin) * era.fieldCount;
    const column = Math.floor(across);
    const along = (v * cos - u * sin) * era.fieldCount * 0.55 + hash(column, id, 3);
    const row = Math.floor(along);
    paint.opacity = 0;
    if (hash(column * 31 + row, id, 7) > farmed * 1.1) return;

    const fallow = hash(row, column, id);
    const crop = crops[Math.trunc(fallow * crops.length)] ?? FALLBACK;
    const inColumn = across - column;
    const inRow = along - row;
    const hedge = Math.min(inColumn, 1 - inColumn, inRow * 1.8, (1 - inRow) * 1.8, border * 7);
    const furrow = hash(Math.trunc(inColumn * 9), row, id) * 0.08;
    const tone = 0.86 + 0.2 * hash(column, row, id + 1) + furrow;
    setPaint(paint, crop, 0.94, hedge < 0.07 ? tone * 0.66 : tone);
  };
}

/** Round fields in a honeycomb, each with a ring and a hub. */
function circles(seed: number, { biome: { crops }, era }: { biome: BiomeLook; era: EraLook }): Painter {
  const greens = [[92, 190, 96] as const, [150, 214, 110] as const, [64, 160, 104] as const, ...crops];
  return (paint, { u, v, farmed }) => {
    const y = v * era.fieldCount * 1.1547;
    const row = Math.round(y);
    const x = u * era.fieldCount + (row % 2 === 0 ? 0 : 0.5);
    const column = Math.round(x);
    const distance = length(x - column, (y - row) * 0.866);
    paint.opacity = 0;
    if (distance > 0.46 || hash(column, row, seed) > farmed * 1.15) return;
    const green = greens[Math.trunc(hash(row, column, seed + 1) * greens.length)] ?? FALLBACK;
    const rim = distance > 0.4 || distance < 0.05;
    setPaint(paint, rim ? [226, 240, 232] : green, rim ? 0.8 : 0.95, 0.92 + 0.12 * hash(column, row, seed + 2));
  };
}
