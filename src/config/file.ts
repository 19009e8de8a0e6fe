import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { FieldIssue } from '../errors.ts';
import { isExperimanceSection, toSettings, translate } from './experimance.ts';
import type { Setting } from './keys.ts';
import { CONFIG_SECTIONS, findKey } from './keys.ts';
import { badFile, badToml, notATable, spellInFile, unknownKey, unknownSection, withoutParts } from './problems.ts';
import type { LineFinder } from './toml-lines.ts';
import { createLineFinder } from './toml-lines.ts';

/** What a TOML file says. */
export interface FileReading {
  readonly settings: readonly Setting[];
  readonly problems: readonly FieldIssue[];
  /** Sentences for the log. */
  readonly warnings: readonly string[];
  /** Absolute; `undefined` when no file was named and there is no config.toml. */
  readonly file: string | undefined;
  /** False when the file exists or was named, and nothing of it could be read. */
  readonly readable: boolean;
}

const DEFAULT_NAME = 'config.toml';

/** What is read where no file is. */
export const NO_FILE: FileReading = { settings: [], problems: [], warnings: [], file: undefined, readable: true };

/** Reads `name`, or `config.toml` in `cwd` if it is there. `origin` says who named the file. */
export function readConfigFile(named: { name: string; origin: string } | undefined, cwd: string): FileReading {
  const name = named?.name ?? DEFAULT_NAME;
  const file = resolve(cwd, name);
  const failed = (problem: FieldIssue) => ({ settings: [], problems: [problem], warnings: [], file, readable: false });
  try {
    // Strict UTF-8, and without the byte order mark that some editors write.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
    return { ...readTable(parse(text), name, createLineFinder(text)), file, readable: true };
  } catch (error) {
    if (error instanceof TomlError) return failed(badToml(name, error, tomlReason(error)));
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    if (code === undefined) throw error;
    if (code === 'ENOENT' && named === undefined) return NO_FILE;
    return failed(badFile(name, fileReason(code), named?.origin ?? 'in the working directory'));
  }
}

function fileReason(code: string): string {
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'is not UTF-8 text';
  return `cannot be read: ${code}`;
}

function tomlReason(error: TomlError): string {
  // The lines after the first quote the file, which may hold a secret there.
  const [first = ''] = error.message.split('\n');
  return first.replace('Invalid TOML document: ', '');
}

function readTable(table: Readonly<Record<string, unknown>>, name: string, lineOf: LineFinder) {
  const settings: Setting[] = [];
  const problems: FieldIssue[] = [];
  const translated: Setting[] = [];
  const unusable: string[] = [];
  const originOf = (path: readonly string[]) => {
    const line = lineOf(path);
    return line === undefined ? name : `${name}:${line}`;
  };
  const readKey = (section: string | undefined, key: string, value: unknown) => {
    const path = section === undefined ? [key] : [section, key];
    const known = findKey(path.join('.'));
    // A quoted "http.port" at the top level has the path of the key in its section, and is not that key.
    if (known !== undefined && known.section === section) {
      settings.push({ key: known, value, fromText: false, origin: () => originOf(path) });
      return;
    }
    const meaning = translate(section, key, value);
    if (meaning?.kind === 'ours') translated.push(...toSettings(meaning.values, () => originOf(path)));
    else if (meaning?.kind === 'without') unusable.push(spellInFile(section, key));
    else problems.push(unknownKey(section, key, { spell: spellInFile, origin: originOf(path) }));
  };
  for (const [key, value] of Object.entries(table)) {
    if (isTable(value) && (CONFIG_SECTIONS.includes(key) || isExperimanceSection(key))) {
      for (const [inner, innerValue] of Object.entries(value)) readKey(key, inner, innerValue);
    } else if (CONFIG_SECTIONS.includes(key)) {
      problems.push(notATable(key, spellInFile, originOf([key])));
    } else if (isTable(value) && findKey(key) === undefined) {
      problems.push(unknownSection(key, originOf([key])));
    } else {
      readKey(undefined, key, value);
    }
  }
  // A key of ours counts more than one of Experimance's with the same meaning.
  const warnings = unusable.length === 0 ? [] : [withoutParts(name, unusable)];
  return { settings: [...translated, ...settings], problems, warnings };
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
