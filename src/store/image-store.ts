import type { ImageFormat } from '../messages/fields.ts';

/** An image as it lies on disk. */
export interface StoredFile {
  /** SHA-256 of the bytes, hex. */
  readonly imageId: string;
  readonly bytes: number;
}

/** Files that must not be removed yet, because nothing durable speaks of them so far. */
export interface Hold {
  /** Input images that were saved under it, or were to be. Whoever enters them into the journal may empty it. */
  readonly inputs: Set<string>;
  release(): void;
}

/** A file of the store. */
export type StoreFile =
  | { readonly kind: 'image'; readonly imageId: string; readonly format: ImageFormat }
  | { readonly kind: 'input'; readonly imageId: string };

/** Bytes by the SHA-256 of their content, whole or not there at all. */
export interface ImageStore {
  /**
   * Stores finished image bytes; resolves when they are durable. Equal bytes are stored once.
   * A `hold` keeps the file from being removed until it is released. What is new is there only once `ready` has resolved,
   * which must not reject. Throws `storage_full` or `storage_failed`.
   */
  save(bytes: Uint8Array, format: ImageFormat, hold?: Hold, ready?: Promise<void>): Promise<StoredFile>;
  /** Stores an input image's bytes, apart from finished images. Throws as `save`. */
  saveInput(bytes: Uint8Array, hold?: Hold): Promise<StoredFile>;
  /** A new hold, on nothing yet. */
  hold(): Hold;
  /**
   * Deletes a file, unless it is held, or `isWanted` says so; says whether it is gone. While `isWanted` is asked and
   * the file removed, whoever saves it waits. Who reads it goes on reading. Throws `storage_failed`, or as `isWanted`.
   */
  remove(file: StoreFile, isWanted?: () => Promise<boolean>): Promise<boolean>;
  /** The parts in which input images lie. */
  readonly inputParts: readonly string[];
  /** Ids of the input images of a part that were written before then, in ms since 1970. Throws `storage_failed`. */
  listInputs(part: string, before: number): Promise<string[]>;
  /** An input image's bytes. Throws `image_not_found`. */
  readInput(imageId: string): Promise<Buffer>;
  /** A finished image's file, opened. Throws `image_not_found`. The caller closes it by ending the stream. */
  open(
    imageId: string,
    format: ImageFormat,
  ): Promise<{ readonly stream: NodeJS.ReadableStream; readonly size: number }>;
  /** Whether a finished image's file is there. Throws `storage_failed` when that cannot be seen. */
  has(imageId: string, format: ImageFormat): Promise<boolean>;
  /** Keeps a small note under a plain name; it survives the process, but not a power cut. Throws as `save`. */
  writeNote(name: string, content: unknown): Promise<void>;
  /** Names of all notes. Throws `storage_failed`. */
  listNotes(): Promise<string[]>;
  /** A note's content; undefined when there is none that is whole. Throws `storage_failed`. */
  readNote(name: string): Promise<unknown>;
  /** Removes a note, or all. Throws `storage_failed`. */
  removeNotes(name?: string): Promise<void>;
  /** Absolute path of a finished image. */
  pathOf(imageId: string, format: ImageFormat): string;
  /** Points `latest.<ext>` at a finished image, atomically. Throws as `save`. */
  setLatest(imageId: string, format: ImageFormat): Promise<void>;
  /** Writes and removes a small file, to learn whether that works. Throws as `save`. */
  probe(): Promise<void>;
}
