import type { JournalContext } from './context.ts';
import { createPromptWords } from './prompt-words.ts';
import type { Row } from './rows.ts';
import type { Values } from './statement.ts';
import { spaced } from './unspaced.ts';

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

  /** Makes prompts findable, and says whether there may be more. The newest of them comes last. */
  function enter(rows: readonly Row[]): { left: boolean } {
    const prompts = rows.map(({ ord, prompt }) => [Number(ord), spaced(String(prompt))] as const);
    run('INSERT INTO prompts (rowid, prompt) SELECT value ->> 0, value ->> 1 FROM json_each($prompts)', {
      prompts: JSON.stringify(prompts),
    });
    words.note(JSON.stringify(prompts.map(([, prompt]) => prompt)), prompts.at(-1)?.[0] ?? 0);
    return { left: rows.length === MOST_AT_ONCE };
  }

  /** What came in since the last time. */
  function indexNew(): { left: boolean } {
    const rows = all(
      `SELECT ord, json_extract(request, '$.prompt') AS prompt FROM renders WHERE ord > $from ORDER BY ord LIMIT $limit`,
      { from: upTo(), limit: MOST_AT_ONCE },
    );
    const last = rows.at(-1)?.ord;
    if (last === undefined) return { left: false };
    run(
      `INSERT INTO meta (key, value) VALUES ('prompts_upto', $upTo)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
      { upTo: String(last) },
    );
    return enter(rows);
  }

  /** What an earlier version had cut into other words: the newest first, which are looked for most. */
  function indexAnew(): { left: boolean } {
    const rows = all(
      `SELECT ord, json_extract(request, '$.prompt') AS prompt FROM
         (SELECT ord FROM prompts_anew ORDER BY ord DESC LIMIT $limit) JOIN renders USING (ord) ORDER BY ord`,
      { limit: MOST_AT_ONCE },
    );
    const first = rows[0]?.ord;
    if (first === undefined) return { left: false };
    run('DELETE FROM prompts WHERE rowid IN (SELECT ord FROM prompts_anew WHERE ord >= $first)', { first });
    run('DELETE FROM prompts_anew WHERE ord >= $first', { first });
    return enter(rows);
  }

  function index(): { left: boolean } {
    return indexNew().left ? { left: true } : indexAnew();
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
      while (indexNew().left);
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
      for (const ord of ords) {
        run('DELETE FROM prompts WHERE rowid = $ord', { ord });
        run('DELETE FROM prompts_anew WHERE ord = $ord', { ord });
      }
      words.forget();
    },
  };
}
