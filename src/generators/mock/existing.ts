import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { AppError } from '../../errors.ts';
import type { Drawing } from '../../store/images.ts';
import type { FolderImage } from './image-folder.ts';
import { chooseImage, scanFolder } from './image-folder.ts';
import type { MockStyle } from './mock-style.ts';

/** A file that became a link since the scan is not followed either. */
const READ_NO_LINK = constants.O_RDONLY | constants.O_NOFOLLOW;
/** What reading says of a file that is not what the scan saw. */
const GONE: readonly unknown[] = ['ENOENT', 'ENOTDIR', 'ELOOP'];

/** What the style is built from. */
export interface ExistingStyleOptions {
  /** Folder of the images; nothing in it is ever changed. */
  readonly imagesDir: string | undefined;
  readonly drawing: Drawing;
}

/** Shows images of a folder, chosen by era, biome and seed; what cannot be shown is passed over. */
export function createExistingStyle({ imagesDir, drawing }: ExistingStyleOptions): MockStyle {
  let images: readonly FolderImage[] = [];

  return {
    async start() {
      images = await scanAtStart(imagesDir);
    },

    async draw(work, seed) {
      if (images.length === 0) images = await scanAgain(imagesDir);
      const failures = new Map<string, unknown>();

      for (;;) {
        const left = images.filter(({ file }) => !failures.has(file));
        const image = chooseImage(left, { era: work.era, biome: work.biome, seed });
        if (image === undefined) throw noneLeft(new AggregateError(failures.values()));
        try {
          return await drawing.cover(await readFile(image.file, { flag: READ_NO_LINK }), work);
        } catch (error) {
          failures.set(image.file, error);
          if (isGone(error)) images = await scanAgain(imagesDir);
        }
      }
    },
  };
}

async function scanAtStart(folder: string | undefined): Promise<FolderImage[]> {
  if (folder === undefined) throw badFolder('must be set when [mock] style is "existing"');
  const images = await scanFolder(folder).catch((error: unknown) => {
    throw badFolder(isGone(error) ? 'names a folder that does not exist' : 'names a folder that cannot be read', error);
  });
  if (images.length === 0) throw badFolder('names a folder without PNG, JPEG or WebP images');
  return images;
}

/** Finds what came or went while the server runs. */
async function scanAgain(folder: string | undefined): Promise<FolderImage[]> {
  if (folder === undefined) return [];
  try {
    return await scanFolder(folder);
  } catch (error) {
    throw noneLeft(error);
  }
}

function badFolder(what: string, cause?: unknown): AppError {
  return new AppError('config_invalid', `[mock] images_dir ${what}.`, { cause });
}

function noneLeft(cause: unknown): AppError {
  return new AppError('generator_failed', 'The folder of [mock] images_dir has no image that can be shown.', { cause });
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && GONE.includes(error.code);
}
