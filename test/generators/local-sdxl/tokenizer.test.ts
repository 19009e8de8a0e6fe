import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createClipTokenizer, loadClipTokenizer } from '../../../src/generators/local-sdxl/tokenizer.ts';

const golden = join(import.meta.dirname, '../../fixtures/sdxl-goldens/models/tiny-sdxl/tokenizer_2');
const TEXT = 'a photo of a lighthouse, wow!!! great';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-server-tokenizer-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function read(name: string): Promise<string> {
  return await readFile(join(golden, name), 'utf8');
}

describe('a tokenizer folder', () => {
  it.each(['lines', 'pairs'])('may hold only a tokenizer.json, with merges as %s', async (kind) => {
    const lines = (await read('merges.txt')).split('\n').slice(1).filter(Boolean);
    const merges = kind === 'lines' ? lines : lines.map((line) => line.split(' '));
    const vocab: unknown = JSON.parse(await read('vocab.json'));
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ model: { vocab, merges } }));
    await copyFile(join(golden, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'));

    const tokenizer = await loadClipTokenizer(folder);
    expect(tokenizer.encode(TEXT)).toEqual((await loadClipTokenizer(golden)).encode(TEXT));
  });

  it('may have a config of older days, with special tokens by name or object and without ids', async () => {
    const config = JSON.stringify({
      bos_token: { __type: 'AddedToken', content: '<|startoftext|>', normalized: true },
      eos_token: '<|endoftext|>',
      pad_token: '!',
      model_max_length: 77,
    });
    const model = { vocab: await read('vocab.json'), merges: await read('merges.txt') };
    const tokenizer = createClipTokenizer({ config, model });
    expect(tokenizer.encode(TEXT)).toEqual((await loadClipTokenizer(golden)).encode(TEXT));
    expect(tokenizer.encodeToLength('').at(-1)).toBe(0);
  });

  it('pads with the end when its config names nothing', async () => {
    const model = { vocab: await read('vocab.json'), merges: await read('merges.txt') };
    const ids = createClipTokenizer({ config: '{"model_max_length": 1e30}', model }).encodeToLength('a');
    expect(ids).toHaveLength(77);
    expect(ids[1]).toBe(320);
    expect(new Set(ids.subarray(2))).toEqual(new Set([813]));
  });

  it('says which file it lacks', async () => {
    await expect(loadClipTokenizer(folder)).rejects.toThrow('tokenizer_config.json');
    await copyFile(join(golden, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'));
    await expect(loadClipTokenizer(folder)).rejects.toThrow('tokenizer.json');
  });

  it('is refused when it is no CLIP tokenizer', async () => {
    const model = { vocab: '{"a": 0}', merges: '#version: 0.2\n' };
    expect(() => createClipTokenizer({ config: '{}', model })).toThrow('lacks <|startoftext|>');
    const wrong = { vocab: '{"a": "b"}', merges: '' };
    expect(() => createClipTokenizer({ config: '{}', model: wrong })).toThrow(z.ZodError);
  });
});

describe('a text', () => {
  it('may hold half a surrogate pair or a very long word, and is soon cut', async () => {
    const tokenizer = await loadClipTokenizer(golden);
    expect(tokenizer.encodeToLength('\ud83d and \udc00')).toHaveLength(77);
    expect(tokenizer.encodeToLength('q'.repeat(20_000))).toHaveLength(77);
  });

  it('of any characters becomes 77 ids of the vocabulary, from the start to an end', async () => {
    const tokenizer = await loadClipTokenizer(golden);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (any) => {
        const ids = tokenizer.encodeToLength(any);
        expect(ids).toHaveLength(77);
        expect(ids[0]).toBe(812);
        expect(ids).toContain(813);
        expect(ids.every((id) => id >= 0 && id < 814)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
