import type { Worker } from 'node:worker_threads';
import { BIOMES, ERAS } from '../../../messages/projects.ts';
import type { Drawing } from '../../../store/images.ts';
import type { RawPixels, Work } from '../../generator.ts';
import type { MockStyle } from '../mock-style.ts';
import type { Biome } from './biomes.ts';
import type { Era } from './eras.ts';
import type { Size } from './grid.ts';
import { gridOf, visibleSize } from './grid.ts';
import type { DepthGrid } from './heightmap.ts';
import { createTerrainRenderer } from './renderer.ts';

/** How much of a reference image is left when the work does not say. */
const DEFAULT_STRENGTH = 0.5;
/** What is drawn when the work names no place, or one that the style does not know. */
const DEFAULT_ERA: Era = 'wilderness';
const DEFAULT_BIOME: Biome = 'temperate_forest';
/** Sketches have no shorter side than this, in pixels. */
const LEAST_SIDE = 8;

/** What the style is built from. */
export interface TerrainStyleOptions {
  readonly drawing: Drawing;
  /** Starts the thread that draws; default: the real one. */
  readonly startWorker?: (() => Worker) | undefined;
}

/**
 * Draws a landscape from above, in the work's biome and era: with the depth map's heights where there is one, else by
 * the seed. The prompt changes nothing.
 */
export function createTerrainStyle({ drawing, startWorker }: TerrainStyleOptions): MockStyle {
  const renderer = createTerrainRenderer(startWorker);
  const depths = new WeakMap<Work, Promise<DepthGrid>>();

  return {
    async start() {},

    draw: async (work, seed, signal) => await drawAt(work, seed, { width: work.width, height: work.height }, signal),

    async sketch(work, seed, scale, signal) {
      const least = Math.min(1, LEAST_SIDE / Math.min(work.width, work.height));
      const part = Math.max(scale, least);
      const size = { width: Math.round(work.width * part), height: Math.round(work.height * part) };
      return await drawAt(work, seed, size, signal);
    },

    close: async () => await renderer.close(),
  };

  async function drawAt(work: Work, seed: number, size: Size, signal: AbortSignal): Promise<RawPixels> {
    const scene = {
      seed,
      era: ERAS.find((name) => name === work.era) ?? DEFAULT_ERA,
      biome: BIOMES.find((name) => name === work.biome) ?? DEFAULT_BIOME,
      shape: { width: work.width, height: work.height },
      depth: await depthOf(work),
    };
    const smooth = size.width === work.width;
    const land = await renderer.draw({ scene, depthName: work.depthMap?.imageId ?? '', size, smooth }, signal);
    return await overReference(land, work, size);
  }

  /** The reference image, as far as `strength` leaves it. */
  async function overReference(land: RawPixels, work: Work, size: Size): Promise<RawPixels> {
    const { referenceImage, strength = DEFAULT_STRENGTH } = work;
    if (referenceImage === undefined || strength === 1) return land;
    return await drawing.blend(land, await drawing.cover(referenceImage.bytes, size), 1 - strength);
  }

  /** Read once for all images and sketches of a work. */
  async function depthOf(work: Work): Promise<DepthGrid | undefined> {
    if (work.depthMap === undefined) return undefined;
    const known = depths.get(work);
    if (known !== undefined) return await known;
    const reading = drawing.cover(work.depthMap.bytes, visibleSize(gridOf(work))).then(toGrey);
    depths.set(work, reading);
    return await reading;
  }
}

function toGrey({ data, channels }: RawPixels): DepthGrid {
  const grey = new Uint8Array(data.length / channels);
  for (let cell = 0, at = 0; cell < grey.length; cell += 1, at += channels) {
    grey[cell] = ((data[at] ?? 0) + (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 3 + 0.5;
  }
  return grey;
}
