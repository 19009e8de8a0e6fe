import { z } from 'zod';
import { imageFormat } from '../../messages/outputs.ts';
import type { JournalOperations } from '../journal.ts';
import type { EvictedFile } from '../records.ts';
import { createCalls } from './calls.ts';
import type { JournalContext } from './context.ts';
import { readImage } from './rows.ts';
import { createSearch } from './search.ts';

/** Looks within this time count as one, so that reading an image seldom writes: ms. */
const SAME_LOOK_MS = 60_000;

/** Files that one call gives up at most, so that others get their turn between. */
const MOST_AT_ONCE = 500;

/** Events that go in one call: some of each render. */
const MOST_EVENTS = 10 * MOST_AT_ONCE;

const ACTIVE_INPUT = `EXISTS (SELECT 1 FROM work_inputs JOIN works ON works.id = work_inputs.work_id
  WHERE work_inputs.image_id = inputs.image_id AND works.status IN ('queued', 'running'))`;

type RetentionOperations = Pick<
  JournalOperations,
  'touch' | 'lose' | 'evict' | 'doom' | 'doomed' | 'isDoomed' | 'removed' | 'storeUsage' | 'forget'
>;

const doomedRow = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('image'), image_id: z.string(), format: imageFormat }),
  z.object({ kind: z.literal('input'), image_id: z.string(), format: z.literal('') }),
]);

/** What is kept of the image store, by an index of its files and not by looking at them. */
export function createRetentionOperations(context: JournalContext): RetentionOperations {
  const { run, one, all } = context;
  const calls = createCalls(context);
  const search = createSearch(context);

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

  function giveUp(file: EvictedFile, at: number): void {
    if (file.kind === 'image') run('UPDATE images SET evicted_at = $at WHERE image_id = $id', { id: file.imageId, at });
    else run('DELETE FROM inputs WHERE image_id = $id', { id: file.imageId });
    addToDoomed(file);
  }

  /** Renders that ended before, oldest first, with the work that nobody else has. */
  function forgetRenders(before: number, after: number): ReturnType<RetentionOperations['forget']> {
    const looked = all(
      `SELECT ord, id, work_id, created_at, finished_at FROM renders WHERE ord > $after ORDER BY ord LIMIT ${MOST_AT_ONCE}`,
      { after },
    );
    const old = looked.filter(({ finished_at: at }) => typeof at === 'number' && at < before);
    for (const { id = null, work_id: workId = null } of old) {
      run('DELETE FROM renders WHERE id = $id', { id });
      if (one('SELECT 1 FROM renders WHERE work_id = $workId', { workId }) !== undefined) continue;
      for (const table of ['attempts', 'work_inputs', 'work_images']) {
        run(`DELETE FROM ${table} WHERE work_id = $workId`, { workId });
      }
      run('DELETE FROM works WHERE id = $workId', { workId });
    }
    if (old.length > 0) search.forget(old.map(({ ord }) => Number(ord)));
    const last = looked.length === MOST_AT_ONCE ? looked.at(-1) : undefined;
    // What comes after one that is not that old cannot have ended before.
    const next = last !== undefined && Number(last.created_at) < before ? Number(last.ord) : undefined;
    return { renders: old.length, ...(next === undefined ? {} : { next }) };
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

    doom({ images }) {
      for (const { imageId, format } of images) {
        const known = one('SELECT 1 FROM images WHERE image_id = $imageId AND evicted_at IS NULL', { imageId });
        if (known === undefined) addToDoomed({ kind: 'image', imageId, format });
      }
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

    forget({ endedBefore: before, at, after = 0 }) {
      calls.forget(at);
      const forgotten = forgetRenders(before, after);
      // Their events are older than their ends.
      run(
        `DELETE FROM events WHERE at < $before AND seq IN (SELECT seq FROM events ORDER BY seq LIMIT ${MOST_EVENTS})`,
        {
          before,
        },
      );
      run(
        `DELETE FROM images WHERE image_id IN (SELECT image_id FROM images WHERE evicted_at < $before
           AND NOT EXISTS (SELECT 1 FROM work_images WHERE work_images.image_id = images.image_id)
           LIMIT ${MOST_AT_ONCE})`,
        { before },
      );
      return forgotten;
    },
  };
}
