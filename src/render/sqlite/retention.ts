import { z } from 'zod';
import { imageFormat } from '../../messages/outputs.ts';
import type { JournalOperations } from '../journal.ts';
import type { EvictedFile } from '../records.ts';
import type { JournalContext } from './context.ts';
import { readImage } from './rows.ts';

/** Looks within this time count as one, so that reading an image seldom writes: ms. */
const SAME_LOOK_MS = 60_000;

/** Files that one call gives up at most, so that others get their turn between. */
const MOST_AT_ONCE = 500;

const ACTIVE_INPUT = `EXISTS (SELECT 1 FROM work_inputs JOIN works ON works.id = work_inputs.work_id
  WHERE work_inputs.image_id = inputs.image_id AND works.status IN ('queued', 'running'))`;

type RetentionOperations = Pick<
  JournalOperations,
  'touch' | 'lose' | 'evict' | 'doom' | 'doomed' | 'isDoomed' | 'removed' | 'storeUsage'
>;

const doomedRow = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('image'), image_id: z.string(), format: imageFormat }),
  z.object({ kind: z.literal('input'), image_id: z.string(), format: z.literal('') }),
]);

/** What is kept of the image store, by an index of its files and not by looking at them. */
export function createRetentionOperations(context: JournalContext): RetentionOperations {
  const { run, one, all } = context;

  const storeUsage: RetentionOperations['storeUsage'] = () => {
    const usage = one('SELECT files, bytes FROM store_usage');
    return { files: Number(usage?.files), bytes: Number(usage?.bytes) };
  };

  function addToDoomed(file: EvictedFile): void {
    run('INSERT INTO doomed (kind, image_id, format) VALUES ($kind, $id, $format) ON CONFLICT DO NOTHING', {
      kind: file.kind,
      id: file.imageId,
      format: file.kind === 'image' ? file.format : '',
    });
  }

  function isKept({ kind, imageId }: EvictedFile): boolean {
    const sql =
      kind === 'image'
        ? 'SELECT 1 FROM images WHERE image_id = $imageId AND evicted_at IS NULL'
        : 'SELECT 1 FROM inputs WHERE image_id = $imageId';
    return one(sql, { imageId }) !== undefined;
  }

  function giveUp(file: EvictedFile, at: number): void {
    if (file.kind === 'image') run('UPDATE images SET evicted_at = $at WHERE image_id = $id', { id: file.imageId, at });
    else run('DELETE FROM inputs WHERE image_id = $id', { id: file.imageId });
    addToDoomed(file);
  }

  return {
    touch({ imageIds, at }) {
      for (const imageId of imageIds) {
        run('UPDATE images SET used_at = $at WHERE image_id = $imageId AND used_at < $at - $same', {
          imageId,
          at,
          same: SAME_LOOK_MS,
        });
      }
    },

    lose({ imageIds, at }) {
      for (const imageId of imageIds) {
        run('UPDATE images SET evicted_at = coalesce(evicted_at, $at) WHERE image_id = $imageId', { imageId, at });
      }
    },

    evict({ limits, at }) {
      const { maxBytes, targetBytes, keepSince, dropBefore = 0 } = limits;
      let { bytes } = storeUsage({});
      const goal = bytes > maxBytes ? targetBytes : Number.POSITIVE_INFINITY;
      // Within the limit, only what is too old comes into question.
      const before = bytes > maxBytes ? keepSince : Math.min(keepSince, dropBefore);
      const candidates = all(
        `SELECT 'image' AS kind, image_id, format, width, height, bytes, used_at, evicted_at FROM images
           WHERE evicted_at IS NULL AND used_at < $before
         UNION ALL
         SELECT 'input', image_id, 'png', 0, 0, bytes, used_at, NULL FROM inputs
           WHERE used_at < $before AND NOT ${ACTIVE_INPUT}
         ORDER BY used_at, image_id LIMIT ${MOST_AT_ONCE}`,
        { before },
      );
      const evicted: EvictedFile[] = [];
      for (const row of candidates) {
        if (bytes <= goal && Number(row.used_at) >= dropBefore) break;
        const { imageId, format, bytes: size } = readImage(row);
        const file: EvictedFile =
          row.kind === 'image' ? { kind: 'image', imageId, format } : { kind: 'input', imageId };
        giveUp(file, at);
        bytes -= size;
        evicted.push(file);
      }
      return evicted;
    },

    doom({ files }) {
      for (const file of files) if (!isKept(file)) addToDoomed(file);
    },

    doomed() {
      return all(`SELECT * FROM doomed LIMIT ${MOST_AT_ONCE}`).map((row): EvictedFile => {
        const { kind, image_id: imageId, format } = doomedRow.parse(row);
        return kind === 'image' ? { kind, imageId, format } : { kind, imageId };
      });
    },

    isDoomed: ({ file: { kind, imageId } }) =>
      one('SELECT 1 FROM doomed WHERE kind = $kind AND image_id = $imageId', { kind, imageId }) !== undefined,

    removed({ files }) {
      for (const { kind, imageId } of files) {
        run('DELETE FROM doomed WHERE kind = $kind AND image_id = $imageId', { kind, imageId });
      }
    },

    storeUsage,
  };
}
