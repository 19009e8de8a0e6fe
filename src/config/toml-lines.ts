import { parse, TomlError } from 'smol-toml';

/** The line, from 1, on which a TOML text first names `path`. */
export type LineFinder = (path: readonly string[]) => number | undefined;

/**
 * The parser keeps no positions, but a statement ends on the first line up to which the text is valid and has its key,
 * and starts after the last valid text before. Quadratic, hence for problems only.
 */
export function createLineFinder(text: string): LineFinder {
  const lines = text.split(/\r?\n/);
  return (path) => {
    let start = 1;
    for (let end = 1; end <= lines.length; end += 1) {
      const table = parseStart(lines.slice(0, end).join('\n'));
      if (table === undefined) continue;
      if (has(table, path)) return start;
      start = end + 1;
    }
    return undefined;
  };
}

function parseStart(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof TomlError) return undefined;
    throw error;
  }
}

function has(value: unknown, [head, ...rest]: readonly string[]): boolean {
  if (head === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  const entry = Object.entries(value).find(([name]) => name === head);
  return entry !== undefined && has(entry[1], rest);
}
