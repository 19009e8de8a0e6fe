import type { BiomeLook } from './biomes.ts';
import type { EraLook } from './eras.ts';
import { clamp01, smoothstep } from './numbers.ts';
import type { Paint } from './paint.ts';
import { mixIn } from './paint.ts';

/** What the air over a place depends on, each 0 to 1, and where it is. */
export interface AirSpot {
  readonly climb: number;
  readonly smoke: number;
  readonly built: number;
  readonly u: number;
  readonly v: number;
}

const MIST = [214, 222, 220] as const;
/** Weights of brightness (Rec. 709). */
const RED = 0.2126;
const GREEN = 0.7152;
const BLUE = 0.0722;

/** Lays mist, smoke and haze over a colour, then grades it as the era does. */
export function createAir(
  { biome, era }: { biome: BiomeLook; era: EraLook },
  noise: (x: number, y: number) => number,
): (paint: Paint, spot: AirSpot) => void {
  return (paint, { climb, smoke, built, u, v }) => {
    if (biome.mist > 0) {
      const wisps = noise(u * 3 + 20, v * 3) + 0.5 * noise(u * 8, v * 8 + 9) + 0.25 * noise(u * 23, v * 23);
      mixIn(paint, MIST, 0.5 * biome.mist * smoothstep(0.3, 1.15, wisps - 0.5 * climb + 0.1));
    }
    if (smoke > 0.004) {
      const curl = 0.85 + 0.3 * noise(u * 60, v * 60);
      mixIn(paint, era.smokeColour, clamp01(smoke * curl) * 0.8);
    }
    if (era.haze > 0) {
      const drift = 1 + 0.35 * noise(u * 2.5 + 5, v * 2.5);
      mixIn(paint, era.hazeColour, clamp01(era.haze * drift * (0.65 + 0.6 * built) * (1 - 0.35 * clamp01(climb))));
    }
    grade(paint, era);
  };
}

function grade(paint: Paint, { saturation, brightness }: EraLook): void {
  if (saturation === 1 && brightness === 1) return;
  const [red = 0, green = 0, blue = 0] = paint;
  const grey = RED * red + GREEN * green + BLUE * blue;
  paint[0] = (grey + (red - grey) * saturation) * brightness;
  paint[1] = (grey + (green - grey) * saturation) * brightness;
  paint[2] = (grey + (blue - grey) * saturation) * brightness;
}
