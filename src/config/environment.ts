import type { FieldIssue } from '../errors.ts';
import { convertText } from './convert.ts';
import type { Setting } from './keys.ts';
import { CONFIG_SECTIONS, findKey } from './keys.ts';
import { notATable, setTwice, spellInEnvironment, unknownKey } from './problems.ts';

const PREFIX = 'IMAGE_SERVER__';

/** The settings of `IMAGE_SERVER__SECTION__KEY` variables; the part after the prefix may be in any case. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  settings: Setting[];
  problems: FieldIssue[];
} {
  const problems: FieldIssue[] = [];
  const found = new Map<string, { variable: string; setting: Setting }>();
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith(PREFIX)) continue;
    const origin = `environment variable ${variable}`;
    const path = variable.slice(PREFIX.length).toLowerCase().replace('__', '.');
    const key = findKey(path);
    if (key === undefined) {
      problems.push(unknownVariable(path, origin));
      continue;
    }
    const earlier = found.get(path);
    if (earlier !== undefined) problems.push(setTwice(key, [earlier.variable, variable]));
    const setting = { key, value: convertText(text, key.shape), fromText: true, origin: () => origin };
    found.set(path, { variable, setting });
  }
  return { settings: [...found.values()].map(({ setting }) => setting), problems };
}

function unknownVariable(path: string, origin: string): FieldIssue {
  if (CONFIG_SECTIONS.includes(path)) return notATable(path, spellInEnvironment, origin);
  const dot = path.indexOf('.');
  const section = dot === -1 ? undefined : path.slice(0, dot);
  return unknownKey(section, path.slice(dot + 1), { spell: spellInEnvironment, origin });
}
