import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes of one id. */
const BYTES = 16;
/** Random bytes that are fetched at once: asking the system costs more than all the rest of an id. */
const pool = new Uint8Array(256 * BYTES);
let used = pool.length;

/** A new id for a render or a batch: a UUID that begins with the time, so that later ones are next to each other. */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + BYTES);
  used += BYTES;
  return v7({ random });
}
