import type { EraLook } from './era-look.ts';
import { clamp01 } from './numbers.ts';
import type { Paint } from './paint.ts';
import { mixIn } from './paint.ts';
import type { Painter } from './spot.ts';

const MIST = [214, 222, 220] as const;
/** Weights of brightness (Rec. 709). */
const RED = 0.2126;
const GREEN = 0.7152;
const BLUE = 0.0722;

/** Lays mist, smoke and haze over a colour, then grades it as the era does. */
export function createAir(era: EraLook, noise: (x: number, y: number) => number): Painter {
  return (paint, { climb, mist, smoke, urban, u, v }) => {
    if (mist > 0) mixIn(paint, MIST, mist);
    if (smoke > 0.004) {
      const curl = 0.85 + 0.3 * noise(u * 60, v * 60);
      mixIn(paint, era.smokeColour, clamp01(smoke * curl) * 0.8);
    }
    if (era.haze > 0) {
      mixIn(paint, era.hazeColour, clamp01(era.haze * (0.65 + 0.6 * urban) * (1 - 0.35 * clamp01(climb))));
    }
    grade(paint, era);
  };
}

function grade(paint: Paint, { saturation, brightness }: EraLook): void {
  if (saturation === 1 && brightness === 1) return;
  const { red, green, blue } = paint;
  const grey = RED * red + GREEN * green + BLUE * blue;
  paint.red = (grey + (red - grey) * saturation) * brightness;
  paint.green = (grey + (green - grey) * saturation) * brightness;
  paint.blue = (grey + (blue - grey) * saturation) * brightness;
}
