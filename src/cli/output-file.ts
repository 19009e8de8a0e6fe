import { randomUUID } from 'node:crypto';
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { ImageFormat } from '../messages/fields.ts';
import { imageFormat } from '../messages/fields.ts';
import { CommandError, EXIT, usageError } from './command-error.ts';
import { reasonOf } from './file-reason.ts';

/** Extensions beside the formats' own names. */
const OTHER_EXTENSIONS = new Map<string, ImageFormat>([['jpg', 'jpeg']]);

/** Where the images of a render go. */
export interface OutputFile {
  /** The format that the extension stands for. */
  readonly format: ImageFormat;
  /** Writes image number `index` of `count`, whole or not at all; resolves with its path. Throws `CommandError`. */
  save(bytes: Uint8Array, index: number, count: number): Promise<string>;
}

/**
 * Checks `-o FILE` before anything is rendered: the extension names a format, the one of `--output-format` if that is
 * given, and the folder exists. Throws `CommandError`.
 */
export async function planOutput(file: string, cwd: string, asked: string | undefined): Promise<OutputFile> {
  const extension = extname(file);
  const format = formatOf(extension);
  if (format === undefined) {
    const known = [...OTHER_EXTENSIONS.keys(), ...imageFormat.options].map((name) => `.${name}`).join(', ');
    throw usageError(`--output must end with one of ${known}; ${file} does not.`);
  }
  if (asked !== undefined && asked !== format) {
    throw usageError(`--output ${file} is a ${format} file, but --output-format asks for ${asked}.`);
  }
  const path = resolve(cwd, file);
  const folder = dirname(path);
  await checkFolder(folder, file);
  const stem = basename(path, extension);

  return {
    format,
    async save(bytes, index, count) {
      const target = join(folder, `${stem}${count > 1 ? `-${index + 1}` : ''}${extension}`);
      const temporary = join(folder, `.${stem.slice(0, 64)}.${randomUUID()}.tmp`);
      try {
        await writeFile(temporary, bytes, { flag: 'wx' });
        await rename(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true });
        throw new CommandError(EXIT.failed, 'output', `${target} cannot be written: ${reasonOf(error)}.`, error);
      }
      return target;
    },
  };
}

function formatOf(extension: string): ImageFormat | undefined {
  const name = extension.slice(1).toLowerCase();
  return OTHER_EXTENSIONS.get(name) ?? imageFormat.safeParse(name).data;
}

async function checkFolder(folder: string, file: string): Promise<void> {
  try {
    if ((await stat(folder)).isDirectory()) return;
  } catch (error) {
    throw usageError(`--output: the folder of ${file} cannot be used: ${reasonOf(error)}.`, error);
  }
  throw usageError(`--output: the folder of ${file} is no folder.`);
}
