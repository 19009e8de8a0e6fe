import type { ErrorCode } from '../errors.ts';
import { AppError } from '../errors.ts';
import type { ImageSource } from '../messages/fields.ts';
import { readAllowedFile } from './allowed-files.ts';
import { decodeImageData } from './image-data.ts';
import type { Hold, ImageStore } from './image-store.ts';
import type { Images } from './images.ts';

/** Takes in the images that requests bring. */
export interface InputReader {
  /**
   * Reads an image, decodes all of it and stores it, durably. `path` is the field's name; errors start with it.
   * `rules.files` allows addresses of files, below the configured folders only. `hold` keeps the file until released.
   * Throws `invalid_image`, `uri_not_allowed`, `invalid_request` (neither key), `storage_full` or `storage_failed`.
   */
  accept(
    source: ImageSource,
    rules: { readonly files: boolean },
    path: string,
    hold?: Hold,
  ): Promise<{ readonly imageId: string; readonly bytes: number }>;
}

/** What an input reader works with. */
export interface InputReaderOptions {
  readonly images: Pick<Images, 'inspect'>;
  readonly store: Pick<ImageStore, 'saveInput'>;
  /** Largest image file. */
  readonly maxBytes: number;
  /** Folders whose files may be read; need not exist yet. */
  readonly fileRoots: readonly string[];
}

/** The one way for images from outside into the store. */
export function createInputReader({ images, store, maxBytes, fileRoots }: InputReaderOptions): InputReader {
  return {
    async accept(source, rules, path, hold) {
      const { field, bytes } = await read(source, rules, path);
      try {
        await images.inspect(bytes);
      } catch (error) {
        throw error instanceof AppError ? fieldError(error.code, field, error.message, error) : error;
      }
      return await store.saveInput(bytes, hold);
    },
  };

  async function read(source: ImageSource, rules: { readonly files: boolean }, path: string) {
    const { image_data, uri } = source;
    if (image_data !== undefined && image_data !== null) {
      const field = `${path}.image_data`;
      return { field, bytes: readData(image_data, field) };
    }
    if (uri === undefined || uri === null) throw fieldError('invalid_request', path, 'Give either image_data or uri.');
    const field = `${path}.uri`;
    return { field, bytes: await readUri(uri, rules, field) };
  }

  function readData(data: string, field: string): Buffer {
    const decoded = decodeImageData(data, maxBytes);
    if (typeof decoded === 'string') throw fieldError('invalid_image', field, `The value ${decoded}.`);
    return decoded;
  }

  async function readUri(uri: string, rules: { readonly files: boolean }, field: string): Promise<Buffer> {
    if (/^https?:/i.test(uri)) throw fieldError('uri_not_allowed', field, 'Web addresses are not allowed here.');
    if (!rules.files) throw fieldError('uri_not_allowed', field, 'Files are not allowed here; send image_data.');
    // The rest is the path as it is: peers write file:// before raw paths, so a percent sign is a percent sign.
    const file = uri.replace(/^file:\/\//i, '');
    const bytes = await readAllowedFile(file, fileRoots, maxBytes);
    if (bytes === undefined) {
      throw fieldError(
        'uri_not_allowed',
        field,
        'Only image files in the folders that the server may read are allowed.',
      );
    }
    if (bytes.length > maxBytes) throw fieldError('invalid_image', field, `The file has more than ${maxBytes} bytes.`);
    return bytes;
  }
}

function fieldError(code: ErrorCode, path: string, message: string, cause?: unknown): AppError {
  return new AppError(code, `${path}: ${message}`, { cause, issues: [{ path, message }] });
}
