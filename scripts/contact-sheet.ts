// Draws docs/contact-sheet.jpg, every biome in every era, and docs/contact-sheet-depth.jpg, one shape of the sand in
// some of them: `npm run contact-sheet`, after each change of how landscapes look.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InputImage, RawPixels, Work } from '../src/generators/generator.ts';
import { createTerrainStyle } from '../src/generators/mock/terrain/terrain.ts';
import { BIOMES, ERAS } from '../src/messages/projects.ts';
import { createImages } from '../src/store/convert.ts';
import type { Overlay, Size } from '../src/store/images.ts';

const SEED = 7;
const GAP = 4;
const LABEL = { height: 38, sizePx: 14 };
const PAPER = { r: 24, g: 25, b: 28 };
const INK = '#e8e8ea';
const MAP_SIDE = 512;
const NEVER = new AbortController().signal;

const docs = join(import.meta.dirname, '..', 'docs');
const images = createImages({ maxPixels: 2 ** 26, maxBytes: 2 ** 26 });
const style = createTerrainStyle({ drawing: images });

/** A picture of the sheet and what stands above it. */
interface Tile {
  readonly label: string;
  readonly pixels: RawPixels;
}

async function tile(side: number, biome: string, era: string, depthMap?: InputImage): Promise<Tile> {
  const work: Work = {
    workId: '',
    prompt: '',
    width: side,
    height: side,
    seed: SEED,
    numImages: 1,
    biome,
    era,
    depthMap,
  };
  return { label: `${biome}\n${era}`.replaceAll('_', ' '), pixels: await style.draw(work, SEED, NEVER) };
}

async function writeSheet(name: string, tiles: readonly Tile[], columns: number, quality: number): Promise<void> {
  const side = tiles[0]?.pixels.width ?? 0;
  const step = { x: side + GAP, y: side + GAP + LABEL.height };
  const size: Size = { width: columns * step.x + GAP, height: Math.ceil(tiles.length / columns) * step.y + GAP };
  const overlays: Overlay[] = [];
  for (const [index, { label, pixels }] of tiles.entries()) {
    const left = GAP + (index % columns) * step.x;
    const top = GAP + Math.floor(index / columns) * step.y;
    const text = await images.text(label, { width: side, ...LABEL, colour: INK });
    overlays.push({ pixels: text, left: left + 2, top: top + 2 });
    overlays.push({ pixels, left, top: top + LABEL.height });
  }
  const pixels = await images.compose(images.blank(size, PAPER), overlays);
  const { bytes } = await images.encode({ kind: 'raw', pixels }, { format: 'jpeg', quality });
  writeFileSync(join(docs, name), bytes);
}

/** 1 in the middle, near 0 two units away. */
function bump(x: number, y: number): number {
  return Math.exp(-x * x - y * y);
}

/** Sand with a dome, a ridge and a bowl, as a depth camera shows it: brighter is higher. */
async function sand(): Promise<{ map: InputImage; pixels: RawPixels }> {
  const data = new Uint8Array(MAP_SIDE * MAP_SIDE * 3);
  for (let y = 0, at = 0; y < MAP_SIDE; y += 1) {
    for (let x = 0; x < MAP_SIDE; x += 1, at += 3) {
      const u = x / MAP_SIDE - 0.5;
      const v = y / MAP_SIDE - 0.5;
      const dome = bump((u + 0.22) / 0.15, (v + 0.18) / 0.15);
      const ridge = bump(((v + 0.2) * 0.9 + (u - 0.25) * 0.6) / 0.07, (u - 0.25) / 0.2);
      const bowl = bump((u - 0.16) / 0.16, (v - 0.22) / 0.14);
      data.fill(Math.round(255 * (0.42 + 0.45 * dome + 0.34 * ridge - 0.38 * bowl)), at, at + 3);
    }
  }
  const pixels: RawPixels = { data, width: MAP_SIDE, height: MAP_SIDE, channels: 3 };
  const { bytes } = await images.encode({ kind: 'raw', pixels }, { format: 'png', quality: 100 });
  return { map: { imageId: 'sand', bytes }, pixels };
}

async function drawAll(): Promise<void> {
  const all: Tile[] = [];
  for (const biome of BIOMES) for (const era of ERAS) all.push(await tile(176, biome, era));
  await writeSheet('contact-sheet.jpg', all, ERAS.length, 78);

  const { map, pixels } = await sand();
  const side = 400;
  const shaped: Tile[] = [{ label: 'the depth map\nof all these', pixels: await images.shrink(pixels, side) }];
  const places = [
    ['mountain', 'wilderness'],
    ['temperate_forest', 'pre_industrial'],
    ['desert', 'wilderness'],
    ['coastal', 'early_industrial'],
    ['arctic', 'wilderness'],
    ['plains', 'current'],
    ['tropical_island', 'future'],
    ['steppe', 'late_industrial'],
    ['jungle', 'ruins'],
    ['deciduous_forest', 'modern'],
    ['river', 'dystopia'],
  ] as const;
  for (const [biome, era] of places) shaped.push(await tile(side, biome, era, map));
  await writeSheet('contact-sheet-depth.jpg', shaped, 4, 82);
}

try {
  await drawAll();
} finally {
  await style.close?.();
}
