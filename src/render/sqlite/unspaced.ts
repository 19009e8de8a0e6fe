/** Han, kana and Hangul, with the marks that belong to them. */
const UNSPACED = /[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}]/u;
const EACH_UNSPACED = new RegExp(UNSPACED, 'gu');

/**
 * The text with each character by itself that is of a script without spaces between words, or in which words run
 * together: what is one word there nobody can tell, so that a word is found as its characters in their order. Those are
 * composed, as most of the world writes them; other text stays as it is.
 */
export function spaced(text: string): string {
  return UNSPACED.test(text) ? text.normalize('NFC').replace(EACH_UNSPACED, ' $& ') : text;
}

/** Whether the text ends in such a character. */
export function endsUnspaced(text: string): boolean {
  const last = [...text].at(-1);
  return last !== undefined && UNSPACED.test(last);
}
