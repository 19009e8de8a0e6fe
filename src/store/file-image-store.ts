import { createHash } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { AppError } from '../errors.ts';
import type { ImageFormat } from '../messages/fields.ts';
import { createDurableFiles, hasCode, openRegular, storageError } from './durable-files.ts';
import { createHolds } from './holds.ts';
import type { Hold, ImageStore, StoredFile } from './image-store.ts';
import { createNewest } from './newest.ts';
import { createNotes } from './notes.ts';

const EXTENSIONS: Readonly<Record<ImageFormat, string>> = {
  png: 'png',
  jpeg: 'jpg',
  webp: 'webp',
  avif: 'avif',
};

/** The image store in a folder, with what only this one can do. */
export interface FileImageStore extends ImageStore {
  /** Removes temporary files of dead processes, as happens at the start; resolves with their number. Throws as `save`. */
  sweep(): Promise<number>;
}

/**
 * Images as files: `renders/<aa>/<sha256>.<ext>`, `inputs/<aa>/<sha256>`, `latest.<ext>`, `notes/`, and `tmp/` for
 * what is not whole yet. Makes `dir`, relative to the working directory, and sweeps `tmp/`; throws as `save`.
 * The folder may be deleted at any time: the next write makes it again.
 */
export async function createFileImageStore(options: { dir: string }): Promise<FileImageStore> {
  const dir = resolve(options.dir);
  const files = createDurableFiles(join(dir, 'tmp'));
  const notes = createNotes(join(dir, 'notes'));
  const linkNewest = createNewest();
  const holds = createHolds();

  function pathOf(imageId: string, format: ImageFormat): string {
    return `${join(dir, 'renders', folderOf(imageId), imageId)}.${EXTENSIONS[format]}`;
  }

  function inputPathOf(imageId: string): string {
    return join(dir, 'inputs', folderOf(imageId), imageId);
  }

  async function put(
    imageId: string,
    bytes: Uint8Array,
    path: string,
    hold: Hold | undefined,
    ready?: Promise<void>,
  ): Promise<StoredFile> {
    await holds.keep(path, hold);
    await files.put(path, bytes, ready);
    return { imageId, bytes: bytes.length };
  }

  await files.sweep();
  return {
    pathOf,
    async save(bytes, format, hold, ready) {
      const imageId = idOf(bytes);
      return await put(imageId, bytes, pathOf(imageId, format), hold, ready);
    },
    async saveInput(bytes, hold) {
      const imageId = idOf(bytes);
      hold?.inputs.add(imageId);
      return await put(imageId, bytes, inputPathOf(imageId), hold);
    },
    hold: holds.open,

    async remove(file, isWanted) {
      const path = file.kind === 'image' ? pathOf(file.imageId, file.format) : inputPathOf(file.imageId);
      return await holds.remove(path, async () => {
        if (await isWanted?.()) return false;
        try {
          await rm(path, { force: true });
          return true;
        } catch (error) {
          throw storageError(error);
        }
      });
    },

    inputParts: Array.from({ length: 256 }, (_, number) => number.toString(16).padStart(2, '0')),

    async listInputs(part, before) {
      const folder = join(dir, 'inputs', part);
      const names = (await listFolder(folder)).filter(isImageId);
      const old = await Promise.all(names.map(async (name) => await isWrittenBefore(join(folder, name), before)));
      return names.filter((_, index) => old[index]);
    },

    async readInput(imageId) {
      const { handle } = await openImage(inputPathOf(imageId));
      try {
        return await handle.readFile();
      } catch (error) {
        throw storageError(error);
      } finally {
        await handle.close();
      }
    },

    async open(imageId, format) {
      // The open handle keeps the bytes, so that the file may be deleted while they are read.
      const { handle, size } = await openImage(pathOf(imageId, format));
      return { stream: handle.createReadStream(), size };
    },

    async has(imageId, format) {
      try {
        return (await lstat(pathOf(imageId, format))).isFile();
      } catch (error) {
        if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
        throw storageError(error);
      }
    },

    writeNote: notes.write,
    listNotes: notes.list,
    readNote: notes.read,
    removeNotes: notes.remove,

    async setLatest(imageId, format) {
      const link = join(dir, `latest.${EXTENSIONS[format]}`);
      const target = relative(dir, pathOf(imageId, format));
      await linkNewest(link, () => files.link(link, target));
    },

    probe: files.probe,
    sweep: files.sweep,
  };
}

/** The folder of an image. Its check makes every path here one of ours, whatever the caller was sent. */
function folderOf(imageId: string): string {
  if (!isImageId(imageId)) throw notFound();
  return imageId.slice(0, 2);
}

function isImageId(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}

function idOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw storageError(error);
  }
}

async function isWrittenBefore(path: string, time: number): Promise<boolean> {
  try {
    const stat = await lstat(path);
    return stat.isFile() && stat.mtimeMs < time;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw storageError(error);
  }
}

async function openImage(path: string) {
  try {
    return await openRegular(path);
  } catch (error) {
    // ELOOP: a link that somebody planted.
    throw hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP') ? notFound(error) : storageError(error);
  }
}

function notFound(cause?: unknown): AppError {
  return new AppError('image_not_found', 'There is no such image.', { cause });
}
