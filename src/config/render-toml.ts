import { stringify } from 'smol-toml';
import type { ConfigKey } from './keys.ts';
import { CONFIG_KEYS, CONFIG_SECTIONS } from './keys.ts';
import { expectation } from './problems.ts';

const WIDTH = 120;

const HEAD =
  'Every key of the image server, with its default; keys that are commented out have none. Environment variables ' +
  'override this file, and flags override both: IMAGE_SERVER__HTTP__PORT=8081, --http.port 8081. Relative paths are ' +
  'taken from the working directory. Written by scripts/generate-config.ts.';

/** The text of config.toml: every key with its sentence and its default, or an example where it has none. */
export function renderConfigToml(): string {
  const blocks = [comment(HEAD), ...renderKeys(undefined)];
  for (const section of CONFIG_SECTIONS) blocks.push(`[${section}]`, ...renderKeys(section));
  return `${blocks.join('\n\n')}\n`;
}

function renderKeys(section: string | undefined): string[] {
  return CONFIG_KEYS.filter((key) => key.section === section).map(renderKey);
}

function renderKey(key: ConfigKey): string {
  const { default: value, description = '', examples } = key.shape;
  const words = [description, accepts(key)].filter((part) => part !== '').map((part) => `${part}.`);
  const line = value === undefined ? `# ${assign(key, examples?.[0])}` : assign(key, value);
  return `${comment(words.join(' '))}\n${line}`;
}

function accepts({ shape }: ConfigKey): string {
  // That a text is a text is no news.
  const { type, format, expects } = shape;
  const plain = type === 'string' && [shape.enum, format, expects].every((word) => word === undefined);
  return plain ? '' : capitalise(expectation(shape));
}

function capitalise(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function assign(key: ConfigKey, value: unknown): string {
  const line = `${key.name} = ${inline(value)}`;
  if (line.length <= WIDTH || !isTable(value)) return line;
  return [`${key.name} = {`, ...pairsOf(value).map((pair) => `  ${pair},`), '}'].join('\n');
}

/** On one line, tables too: a table of its own would end the section. */
function inline(value: unknown): string {
  if (!isTable(value)) return stringify({ value }).trimEnd().slice('value = '.length);
  const pairs = pairsOf(value);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

function pairsOf(table: object): string[] {
  return Object.entries(table).map(([name, inner]) => `${quoted(name)} = ${inline(inner)}`);
}

function isTable(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function quoted(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name);
}

function comment(text: string): string {
  const lines = ['#'];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length <= WIDTH) lines.splice(-1, 1, longer);
    else lines.push(`# ${word}`);
  }
  return lines.join('\n');
}
