import { createDistricts } from './districts.ts';
import type { EraLook } from './era-look.ts';
import { clamp01, hash } from './numbers.ts';
import type { Paint } from './paint.ts';
import { mixIn, setPaint } from './paint.ts';
import type { Painter } from './spot.ts';

/** Districts with streets of one direction, across the picture. */
const DISTRICTS = 7;
const STREET = 0.085;
const AVENUE = 0.016;
const FIRE = [255, 142, 46] as const;
const ROOF = [120, 116, 110] as const;

/** Blocks between streets, lots with houses in them, and avenues between the districts. */
export function createStreets(seed: number, era: EraLook): Painter {
  const districtAt = createDistricts(seed + 101);
  const lot: Lot = { column: 0, row: 0, house: 0, hall: false, sunward: 0, opacity: 0, urban: 0 };
  return (paint, { u, v, urban }) => {
    const { id, cos, sin, border } = districtAt(u * DISTRICTS, v * DISTRICTS);
    const x = (u * cos + v * sin) * era.blocks;
    const y = (v * cos - u * sin) * era.blocks;
    const column = Math.floor(x);
    const row = Math.floor(y);
    paint.opacity = 0;
    if (urban < 0.06 + 0.6 * hash(column, row, id)) return;

    const inX = x - column;
    const inY = y - row;
    const edge = Math.min(inX, 1 - inX, inY, 1 - inY);
    const opacity = 1 - era.overgrown * hash(row, column, id + 9);
    if (edge < STREET || border < AVENUE) {
      setPaint(paint, era.street, opacity * (1 - 0.4 * era.overgrown));
      return;
    }
    const kind = hash(column, row, id + 1);
    if (kind < era.parks) {
      paint.opacity = 0;
      return;
    }
    const hall = kind > 1 - era.halls;
    const lots = hall ? 1 : era.lots;
    const lotX = ((inX - STREET) / (1 - 2 * STREET)) * lots;
    const lotY = ((inY - STREET) / (1 - 2 * STREET)) * lots;
    const house = Math.trunc(lotX) + lots * Math.trunc(lotY) + 64 * kind;
    // The sun in the north-west, seen from the turned block.
    const sunX = -(cos + sin) * Math.SQRT1_2;
    const sunY = (sin - cos) * Math.SQRT1_2;
    const sunward = (lotX - Math.trunc(lotX) - 0.5) * sunX + (lotY - Math.trunc(lotY) - 0.5) * sunY;
    lot.column = column;
    lot.row = row;
    lot.house = Math.trunc(house * 16);
    lot.hall = hall;
    lot.sunward = sunward;
    lot.opacity = opacity;
    lot.urban = urban;
    paintLot(paint, era, lot);
  };
}

/** One object, changed for each pixel. */
interface Lot {
  column: number;
  row: number;
  house: number;
  hall: boolean;
  /** How far towards the sun in the lot, −0.7 to 0.7. */
  sunward: number;
  opacity: number;
  urban: number;
}

function paintLot(paint: Paint, era: EraLook, { column, row, house, hall, sunward, opacity, urban }: Lot): void {
  const chance = hash(column * 131 + house, row, 11);
  if (!hall && chance > era.fill * clamp01(0.5 + urban)) {
    setPaint(paint, era.yard, 0.85 * opacity * (1 - 0.8 * era.overgrown), 0.9 + 0.2 * chance);
    return;
  }
  const look = hash(row * 131 + house, column, 13);
  const roof = era.roofs[Math.trunc(look * era.roofs.length)] ?? ROOF;
  const height = hash(house, column, row) * urban;
  const side = sunward < -0.3 ? 0.52 - 0.16 * height : sunward > 0.36 ? 1.16 : 0.9 + 0.2 * hash(column, house, row);
  setPaint(paint, roof, opacity, side);
  if (!hall && era.lights > 0 && hash(column + house, row, 17) < era.lights) {
    mixIn(paint, FIRE, 0.5 + 0.5 * height);
    paint.opacity = 2;
  }
}
