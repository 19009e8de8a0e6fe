import type { BiomeLook } from './biome-look.ts';
import { clamp01, smoothstep } from './numbers.ts';
import { mixIn, scalePaint, setPaint } from './paint.ts';
import type { Painter } from './spot.ts';

const FOAM = [232, 240, 240] as const;
const FLOE = [228, 238, 244] as const;
const GLINT = [214, 226, 232] as const;

/** Paints water by its depth: pale over the shoals, surf at shores, ice if it is cold. */
export function createWater(look: BiomeLook, noise: (x: number, y: number) => number): Painter {
  const surf = look.form === 'coast' || look.form === 'island' ? 0.75 : 0.12;
  // Shoals of the tropics reach far out; elsewhere the bottom is soon out of sight.
  const clear = look.form === 'island' ? 0.34 : look.form === 'coast' ? 0.2 : 0.13;

  return (paint, { depth, u, v }) => {
    const drift = noise(u * 7, v * 7);
    const swell = noise(u * 46 + 2 * drift, v * 74);
    const ripple = noise(u * 210, v * 330 + 3 * drift);
    setPaint(paint, look.shallow, 1);
    const sink = clamp01((depth * (1 + 0.18 * drift)) / clear);
    mixIn(paint, look.deep, 1 - (1 - sink) * (1 - sink));
    scalePaint(paint, 1 + (0.035 * swell + 0.03 * ripple + 0.04 * drift) * (0.4 + 0.6 * sink));
    mixIn(paint, GLINT, 0.09 * smoothstep(0.35, 0.95, 0.6 * ripple + 0.4 * swell + 0.35 * drift));
    if (look.texture === 'cracks') {
      const floe = noise(u * 30, v * 30) + 0.45 * noise(u * 83, v * 83) + 0.5 * drift;
      mixIn(paint, FLOE, 0.95 * smoothstep(0.34, 0.42, floe + 0.4 - depth * 2.4));
    }
    const line = 0.006 + 0.004 * swell;
    mixIn(paint, FOAM, surf * (1 - smoothstep(line * 0.3, line, depth)) * clamp01(0.7 + 0.5 * ripple));
  };
}
