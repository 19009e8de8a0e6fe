import type { Hold } from './image-store.ts';

class PathHold implements Hold {
  readonly inputs = new Set<string>();
  readonly paths: string[] = [];
  readonly #release: (path: string) => void;

  constructor(release: (path: string) => void) {
    this.#release = release;
  }

  release(): void {
    for (const path of this.paths.splice(0)) this.#release(path);
  }
}

/**
 * Decides between those who save a file and those who remove it: what is held stays, and what is being removed is gone
 * before it is saved anew.
 */
export function createHolds() {
  const held = new Map<string, number>();
  const removing = new Map<string, Promise<void>>();

  function release(path: string): void {
    const left = (held.get(path) ?? 1) - 1;
    if (left === 0) held.delete(path);
    else held.set(path, left);
  }

  return {
    open: (): Hold => new PathHold(release),

    /** Adds a path to a hold, if there is one; resolves when nobody is removing it any more. */
    async keep(path: string, hold: Hold | undefined): Promise<void> {
      if (hold instanceof PathHold) {
        hold.paths.push(path);
        held.set(path, (held.get(path) ?? 0) + 1);
      }
      await removing.get(path);
    },

    /** Removes a path unless it is held; says whether it did, as `remove` does. */
    async remove(path: string, remove: () => Promise<boolean>): Promise<boolean> {
      if (held.has(path)) return false;
      const removal = remove().finally(() => removing.delete(path));
      // Whoever saves it only waits for the end; the error is the remover's.
      removing.set(
        path,
        removal.then(
          () => undefined,
          () => undefined,
        ),
      );
      return await removal;
    },
  };
}
