import type { FieldIssue } from '../errors.ts';
import { AppError } from '../errors.ts';
import type { ConfigKey, Setting, Shape } from './keys.ts';
import { CONFIG_KEYS, CONFIG_SECTIONS } from './keys.ts';
import { nearestKey, nearestSection } from './suggest.ts';

/** How a source spells a key, for suggestions that can be pasted. */
export type Spelling = (section: string | undefined, name: string) => string;

/** As TOML has it: `[http] port`. */
export const spellInFile: Spelling = (section, name) => (section === undefined ? name : `[${section}] ${name}`);

/** As an environment variable: `IMAGE_SERVER__HTTP__PORT`. */
export const spellInEnvironment: Spelling = (section, name) =>
  ['IMAGE_SERVER', section, name]
    .filter((part) => part !== undefined)
    .join('__')
    .toUpperCase();

/** As a flag: `--http.port`. */
export const spellAsFlag: Spelling = (section, name) => (section === undefined ? `--${name}` : `--${section}.${name}`);

/** Every problem on a line of its own. */
export function configError(problems: readonly FieldIssue[]): AppError {
  return new AppError('config_invalid', problems.map((problem) => problem.message).join('\n'), { issues: problems });
}

/** A value that the schema or a cross-check refuses; `reason` says what is expected. */
export function badValue(key: ConfigKey, value: unknown, reason: string, origin: string): FieldIssue {
  const label = spellInFile(key.section, key.name);
  const shown = looksSecret(key.name) ? label : `${label} = ${showValue(value)}`;
  return { path: key.path, message: `${shown}: ${reason} (${origin})` };
}

/** What the schema expects of a setting that it refused; `item` is the index of the bad one in a list. */
export function expectedOf({ key, value, fromText }: Setting, item: number | undefined): string {
  const which = item === undefined ? '' : `item ${item + 1} is wrong, `;
  const example = key.shape.examples?.[0];
  const such = example === undefined ? '' : `, such as ${showValue(example)}`;
  const written = fromText && typeof value === 'string' ? WRITTEN[key.shape.type] : '';
  return `${which}expected ${expectation(key.shape)}${such}${written}`;
}

const WRITTEN: Readonly<Record<Shape['type'], string>> = {
  string: '',
  number: '',
  integer: '',
  boolean: '',
  array: ', as JSON or separated by commas',
  object: ', as JSON',
};

/** What a key accepts, in words: `a whole number from 0 to 65535`. */
export function expectation(shape: Shape): string {
  if (shape.expects !== undefined) return shape.expects;
  switch (shape.type) {
    case 'string':
      if (shape.enum !== undefined) return `one of ${shape.enum.map((word) => `"${word}"`).join(', ')}`;
      if (shape.format === 'uri') return 'a URL';
      return shape.minLength === undefined ? 'text' : 'text that is not empty';
    case 'integer':
      return `a whole number${range(shape)}`;
    case 'number':
      return `a number${range(shape)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return shape.items === undefined ? 'a list' : `a list, each item ${expectation(shape.items)}`;
    case 'object':
      return 'a table';
  }
}

function range({ minimum, exclusiveMinimum, maximum }: Shape): string {
  // Integers carry the limits of JavaScript's numbers, which nobody needs to read.
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const least = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  if (least !== undefined) return most === undefined ? ` of at least ${least}` : ` from ${least} to ${most}`;
  const above = exclusiveMinimum === undefined ? '' : ` above ${exclusiveMinimum}`;
  if (most === undefined) return above;
  return above === '' ? ` of at most ${most}` : `${above} and at most ${most}`;
}

/** A key that does not exist. Its value stays unsaid: a misspelt secret looks like no secret. */
export function unknownKey(
  section: string | undefined,
  name: string,
  { spell, origin }: { spell: Spelling; origin: string },
): FieldIssue {
  const near = nearestKey(section, name);
  const hint = near === undefined ? knownNames(section, spell) : `did you mean ${spell(near.section, near.name)}?`;
  const path = section === undefined ? name : `${section}.${name}`;
  return { path, message: `${spellInFile(section, name)}: unknown key; ${hint} (${origin})` };
}

/** A table of the file that does not exist. */
export function unknownSection(name: string, origin: string): FieldIssue {
  const near = nearestSection(name);
  const hint = near === undefined ? `known sections: ${sectionList()}` : `did you mean [${near}]?`;
  return { path: name, message: `[${name}]: unknown section; ${hint} (${origin})` };
}

/** A section that was given a value of its own. */
export function notATable(section: string, spell: Spelling, origin: string): FieldIssue {
  const message = `[${section}] is a section and has no value of its own; its keys: ${keyList(section, spell)} (${origin})`;
  return { path: section, message };
}

/** A key that two environment variables set, in different spellings. */
export function setTwice(key: ConfigKey, names: readonly string[]): FieldIssue {
  const label = spellInFile(key.section, key.name);
  return { path: key.path, message: `${label}: set twice; keep one (environment variables ${names.join(', ')})` };
}

/** A flag without its value. */
export function missingValue(path: string, expected: string, flag: string): FieldIssue {
  return { path, message: `${flag} needs a value: expected ${expected}; write ${flag} VALUE or ${flag}=VALUE` };
}

/** An argument that is neither a flag nor the value of one. */
export function strayArgument(argument: string): FieldIssue {
  return { path: '', message: `unexpected argument ${showValue(argument)}: expected flags such as --http.port 8080` };
}

/** A file that cannot be used at all. `name` is as the user wrote it. */
export function badFile(name: string, reason: string, origin: string): FieldIssue {
  return { path: '', message: `configuration file ${name} ${reason} (${origin})` };
}

/** A project without a file for this server, which was looked for at `candidates`. */
export function noProjectFile(candidates: readonly string[]): FieldIssue {
  const message = `no configuration of the project: there is no ${candidates.join(' and no ')} (flag --projects)`;
  return { path: '', message };
}

/** Keys of Experimance's for parts that are not here. */
export function withoutParts(name: string, keys: readonly string[]): string {
  return `${name}: ${keys.join(', ')}: for parts of Experimance's image server that this one does not have; ignored`;
}

/** A mistake in the file's TOML; `line` and `column` count from 1. */
export function badToml(name: string, at: { line: number; column: number }, reason: string): FieldIssue {
  return { path: '', message: `${name}:${at.line}:${at.column}: not valid TOML: ${reason}` };
}

function knownNames(section: string | undefined, spell: Spelling): string {
  if (section !== undefined && !CONFIG_SECTIONS.includes(section)) return `known sections: ${sectionList()}`;
  const keys = `known keys: ${keyList(section, spell)}`;
  return section === undefined ? `${keys}; known sections: ${sectionList()}` : keys;
}

function keyList(section: string | undefined, spell: Spelling): string {
  return CONFIG_KEYS.filter((key) => key.section === section)
    .map((key) => spell(key.section, key.name))
    .join(', ');
}

function sectionList(): string {
  return CONFIG_SECTIONS.map((section) => `[${section}]`).join(', ');
}

function looksSecret(name: string): boolean {
  return /key|token|secret|passw|credential/i.test(name) && !name.endsWith('_file');
}

const MAX_SHOWN = 120;

function showValue(value: unknown): string {
  // Infinity and NaN, which TOML has, would be null in JSON.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  const shown = text.replaceAll(/\/\/[^/@\s"]+@/g, '//***@');
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
}
