import type { FieldIssue } from '../errors.ts';
import { convertText } from './convert.ts';
import type { ConfigKey, Setting } from './keys.ts';
import { CONFIG_SECTIONS, findKey } from './keys.ts';
import { expectation, missingValue, notATable, spellAsFlag, strayArgument, unknownKey } from './problems.ts';

/**
 * The settings of `--section.key value` and `--section.key=value`; hyphens may stand for underscores, a boolean may
 * stand alone, and of a repeated flag the last counts. `file` is the value of
 * `--config`, `projects` that of `--projects`.
 */
export function readFlags(argv: readonly string[]): {
  settings: Setting[];
  problems: FieldIssue[];
  file: string | undefined;
  projects: string | undefined;
} {
  const settings: Setting[] = [];
  const problems: FieldIssue[] = [];
  let file: string | undefined;
  let projects: string | undefined;
  const rest = [...argv];
  for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
    if (!/^--./.test(token)) {
      problems.push(strayArgument(token));
      continue;
    }
    const { flag, inline } = splitFlag(token);
    const path = flag.slice(2).replaceAll('-', '_');
    const key = findKey(path);
    const text = inline ?? takeValue(rest, key);
    if (path === 'config') {
      if (text === undefined || text === '') problems.push(missingValue('', 'the path of a TOML file', flag));
      else file = text;
    } else if (path === 'projects') {
      if (text === undefined || text === '') problems.push(missingValue('', 'the folder of projects', flag));
      else projects = text;
    } else if (key === undefined) {
      problems.push(unknownFlag(path, `flag ${flag}`));
    } else if (text === undefined) {
      problems.push(missingValue(key.path, expectation(key.shape), flag));
    } else {
      const value = convertText(text, key.shape);
      settings.push({ key, value, fromText: true, origin: () => `flag ${flag}` });
    }
  }
  return { settings, problems, file, projects };
}

function splitFlag(token: string): { flag: string; inline: string | undefined } {
  const equals = token.indexOf('=');
  if (equals === -1) return { flag: token, inline: undefined };
  return { flag: token.slice(0, equals), inline: token.slice(equals + 1) };
}

function takeValue(rest: string[], key: ConfigKey | undefined): string | undefined {
  const next = rest[0];
  const boolean = key?.shape.type === 'boolean';
  const isValue = next !== undefined && !next.startsWith('--');
  if (boolean && !(isValue && typeof convertText(next, key.shape) === 'boolean')) return 'true';
  return isValue ? rest.shift() : undefined;
}

function unknownFlag(path: string, origin: string): FieldIssue {
  if (CONFIG_SECTIONS.includes(path)) return notATable(path, spellAsFlag, origin);
  const dot = path.indexOf('.');
  const section = dot === -1 ? undefined : path.slice(0, dot);
  return unknownKey(section, path.slice(dot + 1), { spell: spellAsFlag, origin });
}
