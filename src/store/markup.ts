/** More combining marks on a letter than this are dropped: they stack, and lines grow as tall as they like. */
const MARKS_PER_LETTER = 2;
const STACKED_MARKS = new RegExp(`(\\p{M}{${MARKS_PER_LETTER}})\\p{M}+`, 'gu');
/** Width of the narrowest letters, as a fraction of the font's size. */
const NARROWEST = 0.25;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/**
 * Anybody's text without what would break its layout: lone surrogates become U+FFFD, control characters spaces
 * (a NUL would end the text), line breaks of all kinds `\n`, and towers of combining marks lose their tops.
 */
export function printable(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r\n?|[\u0085\u2028\u2029]/g, '\n')
    .replace(/[^\P{Cc}\n]/gu, ' ')
    .replace(STACKED_MARKS, '$1');
}

/** The beginning of a text, at least as much of it as a box can show; layout takes time and memory for the rest too. */
export function visiblePart(text: string, box: { width: number; height: number; sizePx: number }): string {
  const lines = Math.ceil(box.height / box.sizePx) + 1;
  const lettersPerLine = Math.ceil(box.width / (box.sizePx * NARROWEST)) + 1;
  return text
    .slice(0, lines * lettersPerLine * (1 + MARKS_PER_LETTER))
    .split('\n', lines)
    .join('\n');
}

/** Text as Pango markup of one colour (`#rrggbb`). */
export function toMarkup(text: string, colour: string): string {
  const escaped = text.toWellFormed().replace(/[&<>]/g, (sign) => ENTITIES[sign] ?? sign);
  return `<span foreground="${colour}">${escaped}</span>`;
}
