import type { RenderStatus } from '../../messages/outputs.ts';
import type { JournalOperations } from '../journal.ts';
import type { RenderFilters } from '../records.ts';
import type { JournalContext } from './context.ts';
import type { Row } from './rows.ts';
import { ordOf, readImage, readRender, readRenderImage } from './rows.ts';
import { createSearch } from './search.ts';
import type { Values } from './statement.ts';
import { spaced } from './unspaced.ts';

/** Newest images that are compared to find the nearest. */
const CANDIDATES = 200;

/** Conditions on what a list may be filtered by. */
const EQUAL = {
  generator: 'generator = $generator',
  era: 'era = $era',
  biome: 'biome = $biome',
  batchId: 'batch_id = $batchId',
  owner: 'owner = $owner',
} as const satisfies Record<Exclude<keyof RenderFilters, 'text' | 'status'>, string>;
const EQUAL_KEYS = Object.keys(EQUAL) as (keyof typeof EQUAL)[];

/** As literals, and with the very words of the index of the few unhappy ones, by which alone SQLite finds it. */
const STATUS = {
  queued: `status = 'queued'`,
  running: `status = 'running'`,
  succeeded: `status = 'succeeded'`,
  failed: `status IN ('failed', 'cancelled') AND status = 'failed'`,
  cancelled: `status IN ('failed', 'cancelled') AND status = 'cancelled'`,
} as const satisfies Record<RenderStatus, string>;

/**
 * Where what is over is found in its order: by the filter that leaves least, without one in the table itself. SQLite
 * knows nothing of how the values are spread, and would sort or look through everything for some.
 */
function indexOfOver({ status, generator, era, biome, batchId, owner }: RenderFilters): string {
  if (batchId !== undefined) return 'INDEXED BY renders_batch';
  if (status === 'failed' || status === 'cancelled') return 'INDEXED BY renders_unhappy';
  if (era !== undefined) return `INDEXED BY ${biome === undefined ? 'renders_of_era' : 'renders_by_era'}`;
  if (biome !== undefined) return 'INDEXED BY renders_by_biome';
  if (generator !== undefined) return 'INDEXED BY renders_by_generator';
  return owner === undefined ? '' : 'INDEXED BY renders_by_owner';
}

type Listing = Pick<JournalOperations, 'listRenders' | 'findNearest' | 'indexPrompts'>;

/** Finding renders by what they are. */
export function createListing(context: JournalContext): Listing {
  const { all, complete } = context;
  const search = createSearch(context);

  /** What must hold, and the values in it. */
  function condition(filters: RenderFilters): { where: string; values: Values } {
    const given = EQUAL_KEYS.filter((key) => filters[key] !== undefined);
    const status = filters.status === undefined ? [] : [STATUS[filters.status]];
    return {
      where: [...given.map((key) => EQUAL[key]), ...status, 'true'].join(' AND '),
      values: Object.fromEntries(given.map((key) => [key, filters[key] ?? null])),
    };
  }

  /** Newest first. What is over comes from an index in that order, what is active is little. */
  function newest(filters: RenderFilters, limit: number, before: number): Row[] {
    const { status } = filters;
    const { where, values } = condition(filters);
    const select = (index: string, which: string) =>
      `SELECT * FROM (SELECT * FROM renders ${index} WHERE ${where} AND ${which} AND ord < $before
         ORDER BY ord DESC LIMIT $limit)`;
    const over = select(indexOfOver(filters), 'finished_at IS NOT NULL');
    const active = select('INDEXED BY renders_active', `status IN ('queued', 'running')`);
    const isActive = status === 'queued' || status === 'running';
    const wanted = status === undefined ? [over, active] : [isActive ? active : over];
    return all(`${wanted.join(' UNION ALL ')} ORDER BY ord DESC LIMIT $limit`, { ...values, limit, before });
  }

  function page(rows: readonly Row[], limit: number, scannedTo?: number) {
    const renders = rows.slice(0, limit);
    const last = renders.at(-1);
    const next = rows.length > limit && last !== undefined ? ordOf(last) : scannedTo;
    return { renders: renders.map((row) => complete(readRender(row))), next };
  }

  return {
    listRenders({ filters, limit, before = Number.MAX_SAFE_INTEGER }) {
      if (filters.text === undefined) return page(newest(filters, limit + 1, before), limit);
      const { where, values } = condition(filters);
      const { rows, scannedTo } = search.find(filters.text, { where, values, limit: limit + 1, before });
      return page(rows, limit, scannedTo);
    },

    findNearest({ era, biome, prompt, limit }) {
      const places = [{ era, biome }, { era }, { biome }, {}].filter((place) =>
        Object.values(place).every((value) => value !== undefined),
      );
      const words = wordsOf(prompt);
      for (const place of places) {
        const images = imagesAt(place);
        if (images.length === 0) continue;
        const scored = images.map((image) => ({ ...image, score: likeness(words, wordsOf(image.prompt)) }));
        // A stable sort: of equally near ones the newest comes first.
        return scored
          .sort((a, b) => b.score - a.score)
          .slice(0, limit)
          .map(({ image }) => image);
      }
      return [];
    },

    indexPrompts: search.index,
  };

  /** The newest images of a place that are still kept, one a render. */
  function imagesAt(place: { era?: string | undefined; biome?: string | undefined }) {
    const rows = newest({ ...place, status: 'succeeded' }, CANDIDATES, Number.MAX_SAFE_INTEGER).map(readRender);
    const seen = new Set<string>();
    return rows.flatMap(({ workId, request, fallbackFrom, generator }) => {
      // What stood in for others must not spread, and what answered several renders is still one image.
      if ((fallbackFrom !== undefined && generator === 'nearest') || seen.has(workId)) return [];
      seen.add(workId);
      const row = all(
        'SELECT i.*, w.seed FROM work_images w JOIN images i USING (image_id) WHERE w.work_id = $workId AND w.idx = 0',
        { workId },
      ).find((found) => readImage(found).evictedAt === undefined);
      return row === undefined ? [] : [{ image: readRenderImage(row), prompt: request.prompt }];
    });
  }
}

function wordsOf(prompt: string): Set<string> {
  return new Set(
    spaced(prompt)
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [],
  );
}

/** Jaccard's index of two sets of words, 0 to 1. */
function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const common = [...a].filter((word) => b.has(word)).length;
  return common === 0 ? 0 : common / (a.size + b.size - common);
}
