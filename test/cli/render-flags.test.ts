import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flagOf, renderFlags } from '../../src/cli/render-flags.ts';
import type { RenderRequestField } from '../../src/messages/fields.ts';
import { renderRequestFields } from '../../src/messages/fields.ts';
import { strictRenderRequest } from '../../src/messages/render-request.ts';
import { json, renderOf, scriptedServer } from '../client/scripted-server.ts';
import { temporaryDir } from '../helper.ts';
import { run } from './run.ts';

/** Arguments for every field, and what they must become; a new field does not compile without its row. */
const EVERY: Record<RenderRequestField, readonly [args: readonly string[], value: unknown]> = {
  request_id: [['--request-id', 'visitor-1'], 'visitor-1'],
  prompt: [['A river'], 'A river'],
  negative_prompt: [['--negative-prompt', 'people'], 'people'],
  generator: [['--generator', 'mock'], 'mock'],
  width: [['--width', '512'], 512],
  height: [['--height', '768'], 768],
  seed: [['--seed', '4294967295'], 4294967295],
  num_images: [['--num-images', '2'], 2],
  steps: [['--steps', '4'], 4],
  guidance_scale: [['--guidance-scale', '7.5'], 7.5],
  strength: [['--strength', '.5'], 0.5],
  style: [['--style', 'ink'], 'ink'],
  loras: [
    ['--lora', 'a:b.safetensors', '--lora', 'https://example.org/c:-0.5'],
    [
      { path: 'a:b.safetensors', scale: 1 },
      { path: 'https://example.org/c', scale: -0.5 },
    ],
  ],
  reference_image: [['--reference-image', 'reference'], { image_data: 'cmVmZXJlbmNl' }],
  depth_map: [['--depth-map', 'depth'], { image_data: 'ZGVwdGg=' }],
  mask: [['--mask', 'mask'], { image_data: 'bWFzaw==' }],
  era: [['--era', 'wilderness'], 'wilderness'],
  biome: [['--biome', 'river'], 'river'],
  output_format: [['--output-format', 'jpeg'], 'jpeg'],
  quality: [['--quality', '80'], 80],
  priority: [['--priority', '-5'], -5],
  timeout_s: [['--timeout', '1.5'], 1.5],
  queue_timeout_s: [['--queue-timeout', '30'], 30],
  cache: [['--cache', 'refresh'], 'refresh'],
  fallback: [['--no-fallback'], false],
  clear_queue: [['--clear-queue'], true],
  metadata: [
    ['--metadata', 'room=2', '--metadata', 'note=a=b', '--metadata', 'empty='],
    { room: '2', note: 'a=b', empty: '' },
  ],
};

describe('the flags of render', () => {
  it('are one for each field of the table, with its description', () => {
    const flags = renderFlags();
    expect(['prompt', ...flags.map(({ field }) => field)].sort()).toEqual(Object.keys(renderRequestFields).sort());
    for (const { field, option } of flags) {
      expect(option.long).toBe(flagOf(field));
      expect(option.description).toContain(renderRequestFields[field].schema.description);
    }
  });

  it('become the fields of the request', async () => {
    const dir = await temporaryDir();
    for (const name of ['reference', 'depth', 'mask']) await writeFile(join(dir, name), name);
    const { url, asked } = await scriptedServer(json(202, renderOf()));
    const args = Object.values(EVERY).flatMap(([one]) => one);
    expect(await run(dir, ['render', '--server', url, ...args])).toMatchObject({ code: 0, stderr: '' });
    const sent: unknown = JSON.parse(asked[0]?.body ?? '');
    expect(sent).toEqual(Object.fromEntries(Object.entries(EVERY).map(([field, [, value]]) => [field, value])));
    expect(strictRenderRequest.safeParse(sent).success).toBe(true);
  });

  it('stand in the documentation', async () => {
    const page = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'command-line.md'), 'utf8');
    for (const { option } of renderFlags()) expect(page).toContain(`| \`${option.flags}\` |`);
  });
});
