import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { renderConfigToml } from '../../src/config/render-toml.ts';
import { configSchema } from '../../src/config/schema.ts';
import { PROJECT, problemsOf, workingDirectory } from './helper.ts';

const shipped = readFileSync(join(PROJECT, 'config.toml'), 'utf8');
const uncommented = shipped.replaceAll(/^# (?=[a-z_0-9]+ = )/gm, '');

describe('config.toml', () => {
  test('is what scripts/generate-config.ts writes', () => {
    expect(shipped).toBe(renderConfigToml());
  });

  test('changes nothing: its values are the defaults', () => {
    const cwd = workingDirectory();
    const bare = loadConfig({ argv: [], env: {}, cwd });
    const loaded = loadConfig({ argv: ['--config', join(PROJECT, 'config.toml')], env: {}, cwd });
    expect(loaded.config).toEqual(bare.config);
    expect(loaded.warnings).toEqual([]);
    expect(configSchema.parse(parse(shipped))).toEqual(configSchema.parse({}));
  });

  test('names every key, those without a default commented out', () => {
    const paths = Object.entries(parse(uncommented)).flatMap(([name, value]) =>
      typeof value === 'object' ? Object.keys(value).map((inner) => `${name}.${inner}`) : [name],
    );
    expect(paths).toEqual(CONFIG_KEYS.map((key) => key.path));
    const optional = CONFIG_KEYS.filter((key) => key.shape.default === undefined);
    for (const { name } of optional) expect(shipped).toContain(`\n# ${name} = `);
  });

  test('has examples that can be used', () => {
    const cwd = workingDirectory({ 'config.toml': uncommented });
    expect(problemsOf(() => loadConfig({ argv: [], env: {}, cwd }))).toEqual([]);
    expect(loadConfig({ argv: [], env: {}, cwd }).config.mock.timeout).toBe(60);
  });

  test('has no line over 120 characters', () => {
    expect(shipped.split('\n').filter((line) => line.length > 120)).toEqual([]);
  });
});

test.each(CONFIG_KEYS)('$path has a sentence, and a default or an example', ({ shape }) => {
  expect(shape.description).toMatch(/^[A-Z].{8,}[^.]$/);
  expect(shape.default ?? shape.examples?.[0]).toBeDefined();
});
