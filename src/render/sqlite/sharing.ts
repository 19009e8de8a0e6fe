import type { ImageRecord, RenderImage } from '../records.ts';
import type { JournalContext, StoredWork } from './context.ts';
import { readWork } from './rows.ts';

/** Work that equal requests may share. */
export function createSharing({ run, one, imagesOf }: JournalContext) {
  function newest(cacheKey: string, statuses: string): StoredWork | undefined {
    const row = one(
      `SELECT * FROM works WHERE cache_key = unhex($cacheKey) AND status IN (${statuses}) ORDER BY ord DESC LIMIT 1`,
      { cacheKey },
    );
    return row && readWork(row);
  }

  /** Finished work whose images are all there. */
  function findFinished(cacheKey: string): StoredWork | undefined {
    const work = newest(cacheKey, `'succeeded'`);
    const images = work === undefined ? [] : imagesOf(work.id);
    return images.length > 0 && images.every(({ evictedAt }) => evictedAt === undefined) ? work : undefined;
  }

  return {
    /** Stored images first, then work under way; nothing without a key. */
    find(cacheKey: string | undefined): StoredWork | undefined {
      if (cacheKey === undefined) return undefined;
      return findFinished(cacheKey) ?? newest(cacheKey, `'queued', 'running'`);
    },

    /** The images that `find` would answer with. */
    images(cacheKey: string): readonly ImageRecord[] {
      const work = findFinished(cacheKey);
      return work === undefined ? [] : imagesOf(work.id);
    },

    /** A work's images, which count as used now: they are safe as if they had just been made. */
    use(workId: string, at: number): readonly RenderImage[] {
      const images = imagesOf(workId);
      for (const { imageId } of images) {
        run('UPDATE images SET used_at = max(used_at, $at) WHERE image_id = $imageId', { imageId, at });
      }
      return images;
    },
  };
}
