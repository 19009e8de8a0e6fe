import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { z } from 'zod';
import type { RenderRequestField } from '../messages/fields.ts';
import { renderRequestFields } from '../messages/fields.ts';
import { usageError } from './command-error.ts';
import { reasonOf } from './file-reason.ts';

type FlagField = Exclude<RenderRequestField, 'prompt'>;

/** Fields whose flag is not simply their name. */
const NAMES: Partial<Record<RenderRequestField, string>> = {
  timeout_s: '--timeout',
  queue_timeout_s: '--queue-timeout',
  fallback: '--no-fallback',
  loras: '--lora',
};

/** A field that is given as a flag. */
export interface RenderFlag {
  readonly field: FlagField;
  readonly option: Option;
}

/** How a field, by its dotted path in a request, is given on the command line, as in `--depth-map`. */
export function flagOf(path: string): string {
  const [field = ''] = path.split('.');
  if (field === 'prompt') return 'PROMPT';
  return new Map(Object.entries(NAMES)).get(field) ?? `--${field.replaceAll('_', '-')}`;
}

/** The flags of `render`, one for each field of the table but the prompt. */
export function renderFlags(): RenderFlag[] {
  const names = Object.keys(renderRequestFields) as RenderRequestField[];
  return names.filter((field) => field !== 'prompt').map((field) => ({ field, option: optionOf(field) }));
}

function optionOf(field: FlagField): Option {
  const { schema, coercion } = renderRequestFields[field];
  const { value, note = '' } = VALUES[field] ?? BY_COERCION[coercion];
  const option = new Option(
    `${flagOf(field)}${value === '' ? '' : ` <${value}>`}`,
    `${schema.description ?? ''}${note}`,
  );
  if (schema instanceof z.ZodEnum) option.choices(schema.options.map(String));
  if (field in REPEATED) option.argParser((text, before: string[] = []) => [...before, text]);
  return option;
}

interface Value {
  /** Name of the value in the help; empty when there is none. */
  readonly value: string;
  readonly note?: string;
}

const BY_COERCION: Record<(typeof renderRequestFields)[FlagField]['coercion'], Value> = {
  none: { value: 'text' },
  text: { value: 'text' },
  integer: { value: 'number' },
  side: { value: 'number' },
  seed: { value: 'number' },
  number: { value: 'number' },
  fraction: { value: 'number' },
  boolean: { value: '' },
  source: { value: 'file', note: '; a PNG, JPEG or WebP file' },
};

const VALUES: Partial<Record<FlagField, Value>> = {
  request_id: { value: 'id' },
  generator: { value: 'name' },
  output_format: { value: 'format' },
  timeout_s: { value: 'seconds' },
  queue_timeout_s: { value: 'seconds' },
  cache: { value: 'how' },
  loras: { value: 'path[:scale]', note: '; can be given again. Default scale 1' },
  metadata: { value: 'key=value', note: '; can be given again' },
};

/** Fields whose flag can be given again, and what all of its texts mean together. */
const REPEATED: Partial<Record<FlagField, (texts: string[]) => unknown>> = {
  loras: (texts) => texts.map(toLora),
  metadata: (texts) => Object.fromEntries(texts.map(toEntry)),
};

/**
 * The fields that the flags of a parsed command set, unchecked; files are read, below `cwd` when their path is
 * relative. Throws `CommandError` when one cannot be read or a text has the wrong form.
 */
export async function fieldsOf(command: Command, flags: readonly RenderFlag[], cwd: string) {
  const fields: Partial<Record<FlagField, unknown>> = {};
  for (const { field, option } of flags) {
    const name = option.attributeName();
    const given: unknown = command.getOptionValue(name);
    // A flag that says no has a default, which is the server's to know.
    if (given !== undefined && command.getOptionValueSource(name) !== 'default')
      fields[field] = await toValue(field, given, cwd);
  }
  return fields;
}

async function toValue(field: FlagField, given: unknown, cwd: string): Promise<unknown> {
  const repeated = REPEATED[field];
  if (repeated !== undefined) return repeated(z.array(z.string()).parse(given));
  switch (renderRequestFields[field].coercion) {
    case 'none':
    case 'text':
    case 'boolean':
      return given;
    case 'source':
      return { image_data: await readImage(field, resolve(cwd, String(given)), String(given)) };
    default:
      return toNumber(String(given));
  }
}

/** Not a number when the text is none: the field's schema then says what it must be. */
function toNumber(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}

async function readImage(field: FlagField, path: string, shown: string): Promise<string> {
  try {
    return (await readFile(path)).toString('base64');
  } catch (error) {
    throw usageError(`${flagOf(field)}: ${shown} cannot be read: ${reasonOf(error)}.`, error);
  }
}

/** `PATH` or `PATH:SCALE`; what follows the last colon is the scale when it is a number. */
function toLora(text: string): { path: string; scale: number } {
  const at = text.lastIndexOf(':');
  const scale = at < 0 ? Number.NaN : toNumber(text.slice(at + 1));
  return Number.isNaN(scale) ? { path: text, scale: 1 } : { path: text.slice(0, at), scale };
}

function toEntry(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw usageError(`--metadata must be KEY=VALUE, as in --metadata room=2; it is ${JSON.stringify(text)}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}
