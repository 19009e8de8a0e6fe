import type { JournalOperations } from '../journal.ts';
import type { JournalContext } from './context.ts';
import { readEvent, readImage, readRender } from './rows.ts';

type Queries = Pick<JournalOperations, 'findRender' | 'findImage' | 'eventsAfter' | 'lastEvents'>;

/** What the journal answers without changing anything. */
export function createQueries({ one, all, complete }: JournalContext): Queries {
  return {
    findRender({ id, owner }) {
      const row =
        one('SELECT * FROM renders WHERE id = $id', { id }) ??
        one('SELECT * FROM renders WHERE request_id = $requestId ORDER BY owner = $owner DESC, ord DESC LIMIT 1', {
          requestId: JSON.stringify(id),
          owner,
        });
      return row && complete(readRender(row));
    },

    findImage({ imageId }) {
      const row = one('SELECT * FROM images WHERE image_id = $imageId', { imageId });
      return row && readImage(row);
    },

    eventsAfter({ since, limit }) {
      return all('SELECT * FROM events WHERE seq > $since ORDER BY seq LIMIT $limit', { since, limit }).map(readEvent);
    },

    lastEvents({ renderId }) {
      return all(
        `SELECT * FROM events WHERE render_id = $renderId AND type IN ('ImageReady', 'RenderFailed', 'RenderCancelled')
         ORDER BY seq`,
        { renderId },
      ).map(readEvent);
    },
  };
}
