import { describe, expect, it } from 'vitest';
import { GENERATOR_NAMES } from '../../src/generators/index.ts';
import { deadAddress, json, scriptedServer } from '../client/scripted-server.ts';
import { sharedServer } from '../client/shared-server.ts';
import { temporaryDir } from '../helper.ts';
import { problemOf, run } from './run.ts';

const server = sharedServer();

describe('image-server generators', () => {
  it('prints a table, or one document', async () => {
    const dir = await temporaryDir();
    const [text, parsed] = await Promise.all([
      run(dir, ['generators', '--server', server.url]),
      run(dir, ['generators', '--json'], { IMAGE_SERVER_URL: server.url }),
    ]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    // The others lack a key, an address or a model here.
    const without = GENERATOR_NAMES.filter((name) => name !== 'mock');
    expect(text.lines).toEqual([
      expect.stringMatching(/^NAME +STATE +DEFAULT +QUEUED +RUNNING +CAPABILITIES$/),
      expect.stringMatching(/^mock +ready +yes +0 +0 +.*controlnet_depth/),
      ...without.map((name) => expect.stringMatching(new RegExp(`^${name} +disabled \\(It has no .+\\)`))),
      expect.stringMatching(/^stepped +ready +0 +0 +.*seeds/),
    ]);
    const names = [...GENERATOR_NAMES, 'stepped'];
    expect(parsed.lines).toMatchObject([{ generators: names.map((name) => ({ name, default: name === 'mock' })) }]);
  });

  it('shows why a generator is not ready, without what could move the cursor', async () => {
    const { url } = await scriptedServer(
      json(200, {
        generators: [
          {
            name: 'mock',
            default: false,
            state: 'open',
            reason: 'too many\u001b[2J\nerrors',
            capabilities: {
              image_to_image: false,
              controlnet_depth: false,
              inpainting: false,
              loras: false,
              negative_prompts: false,
              seeds: false,
              batch: false,
              previews: false,
            },
            fields: [],
            required: [],
            models: [],
            model_fields: {},
            sizes: { default: { width: 64, height: 64 }, min: 64, max: 64, multiple_of: 1 },
            concurrency: 1,
            queued: 12,
            running: 1,
          },
        ],
      }),
    );
    const { lines } = await run(await temporaryDir(), ['generators', '--server', url]);
    expect(lines[1]).toMatch(/^mock {2}open \(too many\u{FFFD}\[2J errors\) +12 +1 +-$/u);
  });

  it('ends with 69 when no server answers, 78 when the environment names none, 1 when something else answers', async () => {
    const dir = await temporaryDir();
    const dead = await deadAddress();
    const page = await scriptedServer((response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
    );
    const [nobody, noUrl, other, busy] = await Promise.all([
      run(dir, ['generators', '--server', dead]),
      run(dir, ['generators', '--json'], { IMAGE_SERVER_URL: 'ftp://127.0.0.1' }),
      run(dir, ['generators', '--server', page.url]),
      run(dir, ['generators', '--server', (await scriptedServer((response) => response.writeHead(502).end())).url]),
    ]);
    expect([nobody.code, nobody.stderr]).toEqual([69, `image-server: The server at ${dead} cannot be reached.\n`]);
    expect(noUrl.code).toBe(78);
    expect(problemOf(noUrl)).toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('IMAGE_SERVER_URL'),
    });
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('answered 200 with text/html')]);
    expect(busy.code).toBe(75);
  });

  it('is told of in the help, which ends with 0', async () => {
    const { code, lines } = await run(await temporaryDir(), ['--help']);
    expect(code).toBe(0);
    const help = lines.join('\n');
    for (const name of ['serve', 'render', 'generators', 'events']) expect(help).toContain(`\n  ${name} `);
  });
});
