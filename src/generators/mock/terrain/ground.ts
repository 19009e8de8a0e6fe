import type { BiomeLook } from './biome-look.ts';
import { clamp01, smoothstep } from './numbers.ts';
import type { Paint } from './paint.ts';
import { mixIn, setPaint } from './paint.ts';
import type { Painter, Spot } from './spot.ts';

const SNOW = [222, 229, 238] as const;
/** From which noise on the ground is that of a pool's edge, and how much of it finer noise makes. */
const POOL_EDGE = 0.36;
const FINER_POOLS = 0.35;
const ICE_CRACK = [116, 168, 200] as const;

/** Paints land as nature made it: ground by height and moisture, trees, rock on the steep, snow, and a beach. */
export function createGround(look: BiomeLook, noise: (x: number, y: number) => number): Painter {
  const [low, middle, high] = look.ground;
  const [shade, light, clump] = look.trees;

  return (paint, spot) => {
    const { climb, slope, moisture, mottle, grain, cover } = spot;
    const height = clamp01(climb + 0.06 * grain + 0.1 * mottle);
    setPaint(paint, low, 1);
    mixIn(paint, middle, clamp01(height * 2.4));
    mixIn(paint, high, smoothstep(0.4, 0.95, height));
    mixIn(paint, look.dry, smoothstep(0.52, 0.14, moisture + 0.14 * grain + 0.12 * mottle) * 0.85);

    if (cover > 0) {
      mixIn(paint, shade, cover);
      mixIn(paint, light, cover * clamp01(0.38 + 0.55 * grain));
      mixIn(paint, clump, cover * 0.75 * smoothstep(0.05, 0.5, mottle + 0.4 * grain));
    }
    if (look.texture === 'pools') paintPools(paint, spot);
    mixIn(paint, look.rock, 0.92 * smoothstep(look.rockSlope, look.rockSlope + 0.22, slope + 0.16 * grain));
    if (look.texture === 'cracks') paintCracks(paint, spot);
    if (look.snowLine < 1.2) {
      const lies = climb + 0.09 * grain + 0.07 * mottle - 0.22 * Math.max(0, slope - 0.5);
      mixIn(paint, SNOW, 0.96 * smoothstep(look.snowLine - 0.02, look.snowLine + 0.06, lies));
    }
    if (look.water > 0) {
      const sand = look.beachTop * (1 + 0.7 * mottle + 0.35 * grain);
      mixIn(paint, look.beach, 0.92 * (1 - smoothstep(sand * 0.7, sand, climb)) * (1 - smoothstep(0.35, 0.7, slope)));
    }
  };

  /** Small dark pools on level ground, edged with moss. */
  function paintPools(paint: Paint, { slope, climb, u, v, mottle }: Spot): void {
    const lie = 0.5 * mottle - 2.2 * slope - 0.7 * climb;
    // Where no noise could make a pool, it need not be asked.
    if (lie + 1 + FINER_POOLS < POOL_EDGE) return;
    const wide = lie + noise(u * 58, v * 58);
    if (wide + FINER_POOLS < POOL_EDGE) return;
    const pool = wide + FINER_POOLS * noise(u * 130, v * 130);
    mixIn(paint, look.dry, 0.5 * smoothstep(POOL_EDGE, 0.52, pool));
    mixIn(paint, look.deep, 0.94 * smoothstep(0.55, 0.62, pool));
  }

  /** Crevasses: thin lines where noise crosses zero. */
  function paintCracks(paint: Paint, { u, v, grain, mottle }: Spot): void {
    const line = 1 - Math.abs(noise(u * 9 + 0.05 * grain, v * 9 + 0.05 * mottle)) * 5.5;
    const finer = 1 - Math.abs(noise(u * 26 + 3, v * 26)) * 6;
    mixIn(
      paint,
      ICE_CRACK,
      0.62 * smoothstep(0.72, 1, line) + 0.3 * smoothstep(0.75, 1, finer) * clamp01(mottle + 0.4),
    );
  }
}
