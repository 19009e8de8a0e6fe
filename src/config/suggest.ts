import { distance } from 'fastest-levenshtein';
import type { ConfigKey } from './keys.ts';
import { CONFIG_KEYS, CONFIG_SECTIONS } from './keys.ts';

// Beyond two of five letters a suggestion is a guess that leads people astray.
const FAR = 0.4;

/** The known section nearest to `name`, or nothing when all are far from it. */
export function nearestSection(name: string): string | undefined {
  return nearest(name, CONFIG_SECTIONS, (section) => section);
}

/** The known key that was probably meant: one like it in its section, else its namesake, else one like all of it. */
export function nearestKey(section: string | undefined, name: string): ConfigKey | undefined {
  const path = section === undefined ? name : `${section}.${name}`;
  const siblings = CONFIG_KEYS.filter((key) => key.section === section);
  const namesakes = CONFIG_KEYS.filter((key) => key.name === name);
  return (
    nearest(name, siblings, (key) => key.name) ??
    closest(path, namesakes, (key) => key.path) ??
    nearest(path, CONFIG_KEYS, (key) => key.path)
  );
}

function nearest<T>(word: string, candidates: readonly T[], spell: (candidate: T) => string): T | undefined {
  const limit = Math.max(2, Math.floor(word.length * FAR));
  const found = closest(word, candidates, spell);
  return found !== undefined && distance(word, spell(found)) <= limit ? found : undefined;
}

function closest<T>(word: string, candidates: readonly T[], spell: (candidate: T) => string): T | undefined {
  return candidates
    .map((candidate) => ({ candidate, away: distance(word, spell(candidate)) }))
    .sort((left, right) => left.away - right.away)[0]?.candidate;
}
