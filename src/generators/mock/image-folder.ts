import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

/** File names of images to show; `latest.<ext>` only points at another image, and may be this server's own output. */
const IMAGE_NAME = /^(?!latest\.).*\.(png|jpe?g|webp)$/is;

/** An image of the folder. */
export interface FolderImage {
  readonly file: string;
  /** Names of the directories between the folder and the file, in lower case. */
  readonly components: ReadonlySet<string>;
}

/**
 * The images in and below `folder`, sorted by path. Symbolic links are neither images nor followed, so that links
 * that point back up end nowhere. Throws what the file system throws.
 */
export async function scanFolder(folder: string): Promise<FolderImage[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && IMAGE_NAME.test(entry.name))
    .map(({ parentPath, name }) => ({
      file: join(parentPath, name),
      components: new Set(relative(folder, parentPath).toLowerCase().split(sep)),
    }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** What decides which image is shown. */
export interface Wish {
  readonly era?: string | undefined;
  readonly biome?: string | undefined;
  readonly seed: number;
}

/**
 * One of `images`: of those below a directory named like the era and one named like the biome, in any order and at any
 * depth, or else of all. Consecutive seeds show one after the other. `undefined` when there are no images.
 */
export function chooseImage(images: readonly FolderImage[], { era, biome, seed }: Wish): FolderImage | undefined {
  const fitting = images.filter(({ components }) => has(components, era) && has(components, biome));
  const candidates = fitting.length > 0 ? fitting : images;
  return candidates[seed % candidates.length];
}

function has(components: ReadonlySet<string>, name: string | undefined): boolean {
  return name !== undefined && components.has(name.toLowerCase());
}
