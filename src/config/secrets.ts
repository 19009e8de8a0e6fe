import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { inspect } from 'node:util';
import type { Config } from './schema.ts';

/** A key that shows itself only to who asks for it by name: not in logs, not in JSON, not in a template. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The key itself, for the header that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

/** Where the key of each provider may come from: a variable of the environment, or a file that the section names. */
export const SECRET_SOURCES = {
  fal: 'FAL_KEY',
  openai: 'OPENAI_API_KEY',
  runware: 'RUNWARE_API_KEY',
} as const satisfies Partial<Record<keyof Config, string>>;

/** A provider with a key. */
export type SecretName = keyof typeof SECRET_SOURCES;

/** A key, or a sentence that says what is wrong with where it should come from. */
export type KeyReading = { readonly key: Secret } | { readonly missing: string };

/** What was found of each key. */
export type Secrets = Readonly<Partial<Record<SecretName, KeyReading>>>;

/**
 * Reads the keys of providers: the environment is stronger than `[section] key_file`. A key that cannot be read disables
 * its generator; the server has others.
 */
export function readSecrets(
  config: Config,
  { env, cwd }: { readonly env: Readonly<Record<string, string | undefined>>; readonly cwd: string },
): Secrets {
  const secrets: Partial<Record<SecretName, KeyReading>> = {};
  for (const name of secretNames()) {
    const variable = SECRET_SOURCES[name];
    const file = config[name].key_file;
    const given = env[variable]?.trim();
    if (given) secrets[name] = checkKey(given, `The environment variable ${variable}`);
    else if (file !== undefined) secrets[name] = readKeyFile(resolve(cwd, file), `The file of [${name}] key_file`);
  }
  return secrets;
}

/** The key of a provider, or why there is none. */
export function keyOf(secrets: Secrets, name: SecretName): KeyReading {
  return secrets[name] ?? { missing: `It has no key: set ${SECRET_SOURCES[name]}, or [${name}] key_file.` };
}

function secretNames(): SecretName[] {
  return Object.keys(SECRET_SOURCES) as SecretName[];
}

function readKeyFile(path: string, label: string): KeyReading {
  try {
    return checkKey(readFileSync(path, 'utf8').trim(), label);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { missing: `${label} ${code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code}`}.` };
  }
}

/** A key goes into a header, where a line break would begin another one. */
function checkKey(text: string, label: string): KeyReading {
  if (text === '') return { missing: `${label} holds no key.` };
  if (/^[\x21-\x7e]+$/.test(text)) return { key: new Secret(text) };
  return { missing: `${label} holds more than a key: there are spaces or line breaks in it.` };
}
