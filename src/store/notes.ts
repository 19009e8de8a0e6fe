import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, storageError } from './durable-files.ts';

/** Largest note that is read, in bytes. */
const MAX_BYTES = 65_536;

/** Small notes as JSON files in `dir`, by name. They survive the process, but not a power cut. */
export function createNotes(dir: string) {
  function pathOf(name: string): string {
    if (!/^[\w.-]{1,128}$/.test(name)) throw new Error('a note needs a plain name');
    return join(dir, `${name}.json`);
  }

  /** Writes a file that is there whole or not at all; its folder must be there. */
  async function put(path: string, text: string): Promise<void> {
    const handle = await open(`${path}.part`, 'w', 0o644);
    try {
      await handle.writeFile(text);
    } finally {
      await handle.close();
    }
    await rename(`${path}.part`, path);
  }

  async function read(path: string): Promise<unknown> {
    const handle = await open(path);
    try {
      if ((await handle.stat()).size > MAX_BYTES) return undefined;
      return JSON.parse(await handle.readFile('utf8'));
    } finally {
      await handle.close();
    }
  }

  /** Names of our files; what is no note was put there by somebody else. */
  async function names(): Promise<string[]> {
    try {
      const found = await readdir(dir, { withFileTypes: true });
      return found.filter((entry) => entry.isFile() && /\.json(\.part)?$/.test(entry.name)).map(({ name }) => name);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    }
  }

  async function removeFile(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }

  return {
    /** Writes a note whole or not at all. Throws `storage_full` or `storage_failed`. */
    async write(name: string, content: unknown): Promise<void> {
      const path = pathOf(name);
      const text = JSON.stringify(content);
      try {
        await put(path, text).catch(async (error: unknown) => {
          if (!hasCode(error, 'ENOENT')) throw error;
          await mkdir(dir, { recursive: true });
          await put(path, text);
        });
      } catch (error) {
        throw storageError(error);
      }
    },

    /** A note's content; undefined when there is none, or none that is whole. Throws `storage_failed`. */
    async read(name: string): Promise<unknown> {
      try {
        return await read(pathOf(name));
      } catch (error) {
        if (error instanceof SyntaxError || hasCode(error, 'ENOENT')) return undefined;
        throw storageError(error);
      }
    },

    /** Names of all notes. Throws `storage_failed`. */
    async list(): Promise<string[]> {
      try {
        const files = await names();
        return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
      } catch (error) {
        throw storageError(error);
      }
    },

    /** Removes a note, or all. Throws `storage_failed`. */
    async remove(name?: string): Promise<void> {
      try {
        if (name !== undefined) return await removeFile(pathOf(name));
        await Promise.all((await names()).map((each) => removeFile(join(dir, each))));
      } catch (error) {
        throw storageError(error);
      }
    },
  };
}
