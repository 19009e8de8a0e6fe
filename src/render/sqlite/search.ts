import type { JournalContext, Values } from './context.ts';
import { createPromptWords } from './prompt-words.ts';
import type { Row } from './rows.ts';

/** Prompts that are made findable at once, so that others get their turn between. */
const MOST_AT_ONCE = 500;

/** Matches of a search that are looked at for a page. */
const MOST_SCANNED = 5000;

interface SearchOptions {
  /** A condition on `renders`, and the values in it. */
  readonly where: string;
  readonly values: Values;
  readonly limit: number;
  /** A place in the order of acceptance. */
  readonly before: number;
}

/** Full-text search of prompts. They are indexed after the renders were accepted: an accept must be cheap. */
export function createSearch(context: JournalContext) {
  const { run, one, all } = context;
  const words = createPromptWords(context);
  const upTo = () => Number(one(`SELECT value FROM meta WHERE key = 'prompts_upto'`)?.value ?? 0);

  function index(): { left: boolean } {
    const from = upTo();
    const batch = one(
      'SELECT count(*) AS n, max(ord) AS last FROM (SELECT ord FROM renders WHERE ord > $from ORDER BY ord LIMIT $limit)',
      { from, limit: MOST_AT_ONCE },
    );
    const last = batch?.last;
    if (typeof last !== 'number') return { left: false };
    run(
      `INSERT INTO prompts (rowid, prompt) SELECT ord, json_extract(request, '$.prompt') FROM renders
       WHERE ord > $from AND ord <= $last`,
      { from, last },
    );
    words.note(from, last);
    run(
      `INSERT INTO meta (key, value) VALUES ('prompts_upto', $upTo)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
      { upTo: String(last) },
    );
    return { left: batch?.n === MOST_AT_ONCE };
  }

  return {
    index,

    /**
     * Rows of renders, newest first, whose prompts have all words; the last word may be begun only. `where` must hold
     * as well. `scannedTo`: how far was looked when there may be more beyond, since one look must not take for ever.
     */
    find(
      text: string,
      { where, values, limit, before }: SearchOptions,
    ): { rows: Row[]; scannedTo?: number | undefined } {
      // Whatever came in since the last time.
      while (index().left);
      const query = words.toQuery(text);
      if (query === undefined) return { rows: [] };
      const found = { query, before, most: MOST_SCANNED };
      const matches = `SELECT rowid AS place FROM prompts WHERE prompts MATCH $query AND rowid < $before
        ORDER BY rowid DESC LIMIT $most`;
      // Ordered by what the matches come in the order of: so SQLite takes no more of them than the page needs.
      const rows = all(
        `SELECT renders.* FROM (${matches}) CROSS JOIN renders ON ord = place WHERE ${where} ORDER BY place DESC LIMIT $limit`,
        { ...values, ...found, limit },
      );
      if (rows.length === limit) return { rows };
      const scan = one(`SELECT count(*) AS n, min(place) AS last FROM (${matches})`, found);
      return { rows, scannedTo: Number(scan?.n) === MOST_SCANNED ? Number(scan?.last) : undefined };
    },

    /** Forgets the prompts of renders that are gone. */
    forget(ords: readonly number[]): void {
      for (const ord of ords) run('DELETE FROM prompts WHERE rowid = $ord', { ord });
      words.forget();
    },
  };
}
