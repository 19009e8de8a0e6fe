import { readFile } from 'node:fs/promises';

/** Most connections at a time, where the system sets no narrower limit. */
const MOST = 12_000;
/** Descriptors that stay free of connections: for the journal, the images under way, the bus and the models. */
const RESERVED = 64;

/**
 * How many connections there may be at a time, so that idle ones never take the descriptors that renders need: half of
 * what is left beside the reserve, because an image that is read takes a second one.
 */
export async function maxConnections(): Promise<number> {
  const limit = await descriptorLimit();
  return Math.min(MOST, Math.max(1, Math.floor((limit - RESERVED) / 2)));
}

/** Files that this process may have open, as Linux tells it. Node has raised the soft limit to the hard one. */
async function descriptorLimit(): Promise<number> {
  try {
    const limits = await readFile('/proc/self/limits', 'utf8');
    const found = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return found === undefined ? Number.POSITIVE_INFINITY : Number(found);
  } catch {
    // Other systems have no such file; what they allow is plenty.
    return Number.POSITIVE_INFINITY;
  }
}
