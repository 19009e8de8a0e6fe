import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { keyOf, Secret } from '../../src/config/secrets.ts';
import { workingDirectory } from './helper.ts';

const CANARY = 'key-id:CANARY-0123456789';

function read(env: Record<string, string>, files: Record<string, string> = {}) {
  const loaded = loadConfig({ argv: [], env, cwd: workingDirectory(files) });
  expect(inspect(loaded.config, { depth: 9 })).not.toContain('CANARY');
  const found = keyOf(loaded.secrets, 'fal');
  return 'key' in found ? found.key.reveal() : found.missing;
}

describe('the key of a provider', () => {
  test('comes from the environment, without the space around it', () => {
    expect(read({ FAL_KEY: ` ${CANARY}\n` })).toBe(CANARY);
  });

  test('comes from a file, which may end with a line break and is weaker', () => {
    const files = { 'config.toml': '[fal]\nkey_file = "key"\n', key: `${CANARY}\n` };
    expect(read({}, files)).toBe(CANARY);
    expect(read({ FAL_KEY: 'other' }, files)).toBe('other');
    expect(read({ FAL_KEY: '' }, files)).toBe(CANARY);
    expect(read({ IMAGE_SERVER__FAL__KEY_FILE: 'key' }, { key: CANARY })).toBe(CANARY);
  });

  test('that is missing or broken is told of, and never shown', () => {
    const toml = { 'config.toml': '[fal]\nkey_file = "key"\n' };
    expect(read({})).toBe('It has no key: set FAL_KEY, or [fal] key_file.');
    expect(read({}, toml)).toBe('The file of [fal] key_file does not exist.');
    expect(read({}, { ...toml, key: '\n' })).toBe('The file of [fal] key_file holds no key.');
    expect(read({}, { ...toml, key: `${CANARY}\nX-Evil: 1` })).toMatch(/^The file of .* line breaks in it\.$/);
    expect(read({ FAL_KEY: `${CANARY} ${CANARY}` })).toMatch(/^The environment variable FAL_KEY holds more/);
  });

  test('shows itself to nobody who does not ask for it by name', () => {
    const secret = new Secret(CANARY);
    for (const text of [inspect({ secret }), JSON.stringify({ secret }), `${secret}`, String(secret)]) {
      expect(text).not.toContain('CANARY');
      expect(text).toContain('[secret]');
    }
    expect(secret.reveal()).toBe(CANARY);
  });
});
