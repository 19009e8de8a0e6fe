import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { problemsOf, workingDirectory } from './helper.ts';

const problems = (argv: string[]) => problemsOf(() => loadConfig({ argv, env: {}, cwd: workingDirectory() }));

describe('a setting of a provider', () => {
  test.each([
    ['fal.endpoint', 'flux', 'expected an endpoint, as in "fal-ai/flux/dev"'],
    ['fal.endpoints', '["https://fal.run/x"]', 'item 1 is wrong, expected a list, each item an endpoint'],
    ['fal.result_hosts', 'https://fal.media', 'item 1 is wrong, expected a list, each item a host name without scheme'],
    [
      'fal.mapping',
      '{"sise": "image_size"}',
      'expected a table with text for any of prompt, negative_prompt, seed, size',
    ],
    ['fal.prices', '{"fal-ai/flux/dev": {"per_img": 1}}', 'expected a table by endpoint, each with per_image'],
    ['fal.prices_as_of', 'today', 'expected a date'],
    ['vastai.steps', '51', 'expected a whole number from 1 to 50'],
  ])('%s is not %s, and the words say what it is', (path, value, words) => {
    expect(problems([`--${path}`, value])).toEqual([expect.stringContaining(words)]);
  });

  test('may be a table of the file, in its section or below it', () => {
    const toml = ['[fal.mapping]', 'size = "image_size"', '[fal.prices."fal-ai/flux/dev"]', 'per_image = 0.02'];
    const { config } = loadConfig({ argv: [], env: {}, cwd: workingDirectory({ 'config.toml': toml.join('\n') }) });
    expect(config.fal.mapping).toEqual({ size: 'image_size' });
    expect(config.fal.prices).toEqual({ 'fal-ai/flux/dev': { per_image: 0.02 } });
  });

  test('may come from the environment as JSON', () => {
    const env = { IMAGE_SERVER__FAL__ARGUMENTS: '{"enable_safety_checker": false}' };
    const { config } = loadConfig({ argv: [], env, cwd: workingDirectory() });
    expect(config.fal.arguments).toEqual({ enable_safety_checker: false });
  });
});
