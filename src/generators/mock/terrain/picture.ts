import { createAir } from './air.ts';
import { createFarmland } from './farmland.ts';
import type { Size } from './grid.ts';
import { createGround } from './ground.ts';
import { createMask, drawLines, drawRivers } from './lines.ts';
import { hash, noiseOf, smoothstep } from './numbers.ts';
import { createPaint, mixIn, mixPaint, scalePaint } from './paint.ts';
import { createRelief } from './relief.ts';
import { createRings } from './rings.ts';
import { createRowReader } from './sampling.ts';
import { createSpot } from './spot.ts';
import { createStreets } from './streets.ts';
import { createWater } from './water.ts';
import type { World } from './world.ts';

/** The sun stands in the north-west, 45° high. */
const SUN = 0.5;
const SUN_UP = Math.SQRT1_2;

/** Throws when the picture is no longer wanted; called for every row. */
export type Checkpoint = () => void;

/** Draws a world at a size: RGB, row by row. */
export function drawPicture(world: World, size: Size, checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const { width, height } = size;
  const { grid, look, land, fields, seed } = world;
  const { biome, era } = look;
  const longer = Math.max(width, height);
  const { heights, grain, cover } = createRelief(world, size, checkpoint);

  const rivers = createMask(size);
  drawRivers(rivers, size, world.rivers);
  const roads = createMask(size);
  drawLines(roads, size, world.roads, era.roadWidth);
  const rails = createMask(size);
  drawLines(rails, size, world.rails, era.railWidth);
  checkpoint();

  const noise = noiseOf(seed, 'surface');
  const paintGround = createGround(biome, noise);
  const paintWater = createWater(biome, noise);
  const paintFarmland = createFarmland(seed, look);
  const paintTown = era.plan === 'rings' ? createRings(era, world.towns) : createStreets(seed, era);
  const paintAir = createAir(era, noise);

  const reader = createRowReader(grid, size);
  const { light, moisture, slope, urban, farmed, smoke, mottle, mist } = fields;
  const sources = [light, moisture, slope, urban, farmed, smoke, mottle, mist];
  const newRow = () => new Float32Array(grid.width);
  const [lights, moistures, slopes, urbans, farms, smokes, mottles, mists] = [
    newRow(),
    newRow(),
    newRow(),
    newRow(),
    newRow(),
    newRow(),
    newRow(),
    newRow(),
  ] as const;
  const rows = [lights, moistures, slopes, urbans, farms, smokes, mottles, mists];

  const data = new Uint8ClampedArray(width * height * 3);
  const paint = createPaint();
  const trace = createPaint();
  const spot = createSpot();
  const level = Math.max(0, land.waterLevel);
  const steepness = longer * 0.5 * biome.relief;

  for (let y = 0, at = 0; y < height; y += 1) {
    checkpoint();
    reader.linear(sources, rows, y);
    spot.v = (y + 0.5 - height / 2) / longer;
    const up = y === 0 ? 0 : width;
    const down = y === height - 1 ? 0 : width;
    for (let x = 0; x < width; x += 1, at += 1) {
      spot.u = (x + 0.5 - width / 2) / longer;
      const cell = reader.cells[x] ?? 0;
      const share = reader.shares[x] ?? 0;
      const rest = 1 - share;
      const here = heights[at] ?? 0;
      const sky = (lights[cell] ?? 0) * rest + (lights[cell + 1] ?? 0) * share;
      spot.smoke = (smokes[cell] ?? 0) * rest + (smokes[cell + 1] ?? 0) * share;
      spot.urban = (urbans[cell] ?? 0) * rest + (urbans[cell + 1] ?? 0) * share;
      spot.mist = (mists[cell] ?? 0) * rest + (mists[cell + 1] ?? 0) * share;
      let glows = false;

      if (here < land.waterLevel) {
        spot.climb = 0;
        spot.depth = land.waterLevel - here;
        paintWater(paint, spot);
        scalePaint(paint, 0.85 + 0.15 * sky);
      } else {
        spot.climb = (here - level) / (1 - level);
        spot.slope = (slopes[cell] ?? 0) * rest + (slopes[cell + 1] ?? 0) * share;
        spot.moisture = (moistures[cell] ?? 0) * rest + (moistures[cell + 1] ?? 0) * share;
        spot.mottle = (mottles[cell] ?? 0) * rest + (mottles[cell + 1] ?? 0) * share;
        spot.grain = (grain[at] ?? 0) / 127;
        spot.cover = (cover[at] ?? 0) / 255;
        spot.farmed = (farms[cell] ?? 0) * rest + (farms[cell + 1] ?? 0) * share;
        paintGround(paint, spot);

        // How far people and water have levelled the ground, 0 to 1.
        let levelled = 0;
        if (spot.farmed > 0.03) {
          paintFarmland(trace, spot);
          levelled = 0.75 * trace.opacity;
          mixPaint(paint, trace);
        }
        const river = (rivers[at] ?? 0) / 255;
        if (river > 0) {
          mixIn(paint, biome.river, 0.92 * river);
          levelled = Math.max(levelled, river);
        }
        if (spot.urban > 0.01 && river < 0.5) {
          paintTown(trace, spot);
          if (trace.opacity > 1) {
            glows = true;
            trace.opacity = 1;
          }
          levelled = Math.max(levelled, 0.85 * trace.opacity);
          mixPaint(paint, trace);
        }
        const road = (roads[at] ?? 0) / 255;
        if (road > 0) mixIn(paint, era.road, 0.9 * road * roadShown(x, y));
        const rail = (rails[at] ?? 0) / 255;
        if (rail > 0) mixIn(paint, era.rail, 0.9 * rail);

        const gx = ((heights[x === width - 1 ? at : at + 1] ?? 0) - (heights[x === 0 ? at : at - 1] ?? 0)) * steepness;
        const gy = ((heights[at + down] ?? 0) - (heights[at - up] ?? 0)) * steepness;
        const lambert = (SUN * (gx + gy) + SUN_UP) / (SUN_UP * Math.sqrt(1 + gx * gx + gy * gy));
        // What the sun misses still gets the sky's light, and what faces it must not turn white.
        const lit = lambert > 1 ? 1 + (lambert - 1) * 0.62 : Math.max(0.24, lambert);
        const shade = 1 + (lit - 1) * (0.8 - 0.66 * levelled);
        scalePaint(paint, shade * sky);
      }
      paintAir(paint, spot);
      if (glows) mixPaint(paint, trace);
      const dither = hash(x, y, seed) - 0.5;
      data[at * 3] = paint.red + dither;
      data[at * 3 + 1] = paint.green + dither;
      data[at * 3 + 2] = paint.blue + dither;
    }
  }
  return new Uint8Array(data.buffer);

  /** Roads of old show in pieces. */
  function roadShown(x: number, y: number): number {
    if (era.roadShown === 1) return 1;
    const gap = noise((x / longer) * 34, (y / longer) * 34);
    return smoothstep(1 - 2 * era.roadShown - 0.2, 1.2 - 2 * era.roadShown, gap);
  }
}
