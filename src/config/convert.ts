import type { Shape } from './keys.ts';

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

const BOOLEANS = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['no', false],
]);

/**
 * A value of the environment or of a flag in the type of its key. Lists are JSON, or separated by commas; objects are
 * JSON. Text that cannot be converted comes back as it is, for the schema to refuse.
 */
export function convertText(text: string, shape: Shape): unknown {
  const trimmed = text.trim();
  switch (shape.type) {
    case 'string':
      return text;
    case 'boolean':
      return BOOLEANS.get(trimmed.toLowerCase()) ?? text;
    case 'integer':
    case 'number':
      return NUMBER.test(trimmed) ? Number(trimmed) : text;
    case 'array':
      return trimmed.startsWith('[') ? jsonOrText(text) : splitList(trimmed, shape.items);
    case 'object':
      return jsonOrText(text);
  }
}

function splitList(text: string, items: Shape | undefined): unknown[] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  return items === undefined ? parts : parts.map((part) => convertText(part, items));
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
