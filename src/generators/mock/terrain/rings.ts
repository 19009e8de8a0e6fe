import type { EraLook } from './era-look.ts';
import { clamp01, hash, length } from './numbers.ts';
import { setPaint } from './paint.ts';
import type { Town } from './settlements.ts';
import type { Painter } from './spot.ts';

const RINGS = 7;
const DOME = [206, 236, 244] as const;
const GLASS = [128, 206, 226] as const;
const FALLBACK = [230, 240, 240] as const;

/** Cities in circles: a dome, rings of terraces and gardens around it, boulevards between them. */
export function createRings(era: EraLook, towns: readonly Town[]): Painter {
  return (paint, { u, v, urban }) => {
    paint.opacity = 0;
    let reach = Infinity;
    let index = 0;
    for (let at = 0; at < towns.length; at += 1) {
      const town = towns[at];
      if (town === undefined) continue;
      const distance = length(u - town.u, v - town.v) / (town.radius * 0.86);
      if (distance < reach) {
        reach = distance;
        index = at;
      }
    }
    const town = towns[index];
    if (town === undefined || reach > 1 || urban < 0.01) return;

    const outward = reach * RINGS;
    const ring = Math.trunc(outward);
    const inRing = outward - ring;
    const angle = (Math.atan2(v - town.v, u - town.u) / (2 * Math.PI) + 0.5) * Math.max(1, ring) * 6;
    const sector = Math.trunc(angle);
    const inSector = angle - sector;
    const gapX = 0.13;
    const gapY = 0.05 + 0.02 * ring;
    if (ring === 0) {
      setPaint(paint, inRing > 0.86 ? era.street : DOME, 1, 1.04 - 0.3 * clamp01(inRing));
      return;
    }
    if (inRing < gapX || inSector < gapY) {
      setPaint(paint, era.street, 1);
      return;
    }
    const kind = hash(ring, sector, index);
    if (kind < 0.12) setPaint(paint, GLASS, 1, 0.85 + 0.3 * inRing);
    else if (kind > 0.9) setPaint(paint, era.yard, 1, 0.8 + 0.3 * hash(sector, Math.trunc(inRing * 5), ring));
    else {
      const terrace = Math.trunc((inRing - gapX) * 3.4);
      const roof = era.roofs[Math.trunc(hash(ring * 3 + terrace, index, sector % 5) * era.roofs.length)] ?? FALLBACK;
      setPaint(paint, roof, 1, inRing > 0.92 ? 0.6 : 0.86 + 0.05 * terrace);
    }
  };
}
