import type { JournalContext } from './context.ts';
import { TOKENIZER } from './schema.ts';
import { endsUnspaced, spaced } from './unspaced.ts';

/** Begun words of up to so many letters are in the index of prompts as they stand; see the schema. */
const INDEXED_LETTERS = 3;

/** Words that a begun one may stand for and still be looked up one by one. */
const MOST_WORDS = 100;

/**
 * The words of prompts, and those of a search as FTS5 looks for them. For a begun word FTS5 would read every place of
 * every word that begins so, however many prompts there are, before it names the newest. Short beginnings are therefore in
 * its index as if they were words, and of longer ones the few words are named that prompts have: the places of a word are
 * read from their end, and no further than a page needs.
 */
export function createPromptWords({ run, all }: JournalContext) {
  // Cuts text into words as the index does: small, without accents, some in several parts.
  run(`CREATE VIRTUAL TABLE IF NOT EXISTS temp.cut USING fts5 (text, tokenize = "${TOKENIZER}")`);
  run('CREATE VIRTUAL TABLE IF NOT EXISTS temp.cut_words USING fts5vocab (temp, cut, row)');
  run('CREATE VIRTUAL TABLE IF NOT EXISTS temp.cut_parts USING fts5vocab (temp, cut, instance)');

  function partsOf(word: string): string[] {
    run('INSERT INTO temp.cut (text) VALUES ($word)', { word });
    const parts = all('SELECT term FROM temp.cut_parts ORDER BY "offset"').map(({ term }) => String(term));
    run('DELETE FROM temp.cut');
    return parts;
  }

  /** The words of prompts that begin so; undefined when there are too many. */
  function beginningWith(beginning: string): string[] | undefined {
    const words = all(
      `SELECT word FROM prompt_words WHERE word >= $beginning AND word < $beginning || char(1114111)
       LIMIT ${MOST_WORDS + 1}`,
      { beginning },
    ).map(({ word }) => String(word));
    return words.length > MOST_WORDS ? undefined : words;
  }

  function begun(word: string): string {
    // Its last character is a word of its own, which cannot go on.
    if (endsUnspaced(word)) return `"${word}"`;
    const asItStands = `"${word}" *`;
    if (word.length <= INDEXED_LETTERS) return asItStands;
    const parts = partsOf(word);
    const last = parts.pop() ?? '';
    const words = [...last].length <= INDEXED_LETTERS ? undefined : beginningWith(last);
    if (words === undefined) return asItStands;
    // Nothing is found by the beginning itself either when no word begins so.
    const phrases = (words.length === 0 ? [last] : words).map((found) => `"${[...parts, found].join(' ')}"`);
    return `(${phrases.join(' OR ')})`;
  }

  return {
    /** Notes the words of prompts, as JSON; none of their renders came in after `upTo`. */
    note(prompts: string, upTo: number): void {
      run('INSERT INTO temp.cut (text) SELECT value FROM json_each($prompts)', { prompts });
      run(
        `INSERT INTO prompt_words (word, last_ord) SELECT term, $upTo FROM temp.cut_words WHERE true
         ON CONFLICT DO UPDATE SET last_ord = max(last_ord, excluded.last_ord)`,
        { upTo },
      );
      run('DELETE FROM temp.cut');
    },

    /** Forgets words that only forgotten prompts had. */
    forget(): void {
      run('DELETE FROM prompt_words WHERE last_ord < (SELECT min(ord) FROM renders)');
    },

    /** All words must be there, the last one may be begun only; undefined when there is no word. */
    toQuery(text: string): string | undefined {
      // What has accents alone is no word.
      const words =
        text
          .match(/[\p{L}\p{N}\p{M}]+/gu)
          ?.filter((word) => /[\p{L}\p{N}]/u.test(word))
          .map((word) => spaced(word).trim()) ?? [];
      const last = words.at(-1);
      if (last === undefined) return undefined;
      // Quoted, so that none is taken for an operator.
      const whole = [...new Set(words.slice(0, -1))].map((word) => `"${word}"`);
      return [...whole, begun(last)].join(' AND ');
    },
  };
}
