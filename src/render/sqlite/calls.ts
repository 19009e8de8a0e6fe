import { z } from 'zod';
import type { EarlierCall } from '../records.ts';
import type { JournalContext } from './context.ts';
import { readRender } from './rows.ts';

/** How long an idempotency key counts, in ms. */
const KEY_MS = 86_400_000;
/** Old keys that one call takes away. */
const MOST_AT_ONCE = 500;

const callRow = z.object({
  body_hash: z.string(),
  render_ids: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.array(z.string())),
});

/** Calls by their idempotency keys. */
export function createCalls({ run, one, complete }: JournalContext) {
  return {
    /** What the key was used for, while it counts. */
    find(owner: string, key: string, at: number): EarlierCall | undefined {
      const row = one('SELECT * FROM idempotency_keys WHERE owner = $owner AND key = $key AND at > $since', {
        owner,
        key,
        since: at - KEY_MS,
      });
      if (row === undefined) return undefined;
      const { body_hash, render_ids } = callRow.parse(row);
      const rows = render_ids.map((id) => one('SELECT * FROM renders WHERE id = $id', { id }));
      const renders = rows.flatMap((found) => (found === undefined ? [] : [complete(readRender(found))]));
      // Without all that it made, the key stands for nothing any more.
      return renders.length === render_ids.length ? { bodyHash: body_hash, renders } : undefined;
    },

    note(
      owner: string,
      { key, bodyHash }: { key: string; bodyHash: string },
      ids: readonly string[],
      at: number,
    ): void {
      run(
        `INSERT INTO idempotency_keys (owner, key, body_hash, render_ids, at) VALUES ($owner, $key, $bodyHash, $ids, $at)
         ON CONFLICT DO UPDATE SET body_hash = excluded.body_hash, render_ids = excluded.render_ids, at = excluded.at`,
        { owner, key, bodyHash, ids: JSON.stringify(ids), at },
      );
    },

    /** Takes keys away that count no longer. */
    forget(at: number): void {
      run(
        `DELETE FROM idempotency_keys WHERE (owner, key) IN
           (SELECT owner, key FROM idempotency_keys WHERE at <= $before ORDER BY at LIMIT ${MOST_AT_ONCE})`,
        { before: at - KEY_MS },
      );
    },
  };
}
