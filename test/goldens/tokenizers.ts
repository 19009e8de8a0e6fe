import { join } from 'node:path';
import { z } from 'zod';
import type { ClipTokenizer } from '../../src/generators/local-sdxl/tokenizer.ts';
import { loadClipTokenizer } from '../../src/generators/local-sdxl/tokenizer.ts';
import { readGolden } from './json.ts';
import type { Check } from './measure.ts';
import { check, worstAbsolute } from './measure.ts';

const ids = z.array(z.number());

const tableSchema = z.object({
  tokenizers: z.object({ tokenizer: z.string(), tokenizer_2: z.string() }),
  eos: z.number(),
  pad: z.object({ tokenizer: z.number(), tokenizer_2: z.number() }),
  strings: z.array(z.object({ text: z.string(), tokenizer: ids, tokenizer_2: ids })),
});

/** Compares both tokenizers on every string of a folder's `tokenizer.json`, whole and as the encoders get it. */
export async function checkTokenizers(dir: string): Promise<Check[]> {
  const table = await readGolden(join(dir, 'tokenizer.json'), tableSchema);
  const checks: Promise<Check>[] = [];
  for (const which of ['tokenizer', 'tokenizer_2'] as const) {
    const tokenizer = await loadClipTokenizer(join(dir, table.tokenizers[which]));
    for (const row of table.strings) {
      checks.push(
        check(`${which} on ${JSON.stringify(row.text.slice(0, 60))}`, () =>
          compare(which, tokenizer, row.text, row[which], { pad: table.pad[which], eos: table.eos }),
        ),
      );
    }
  }
  return await Promise.all(checks);
}

function compare(
  which: string,
  tokenizer: ClipTokenizer,
  text: string,
  golden: readonly number[],
  { pad, eos }: { readonly pad: number; readonly eos: number },
) {
  const fitted = golden.length > 77 ? [...golden.slice(0, 76), eos] : [...golden, ...Array(77).fill(pad)].slice(0, 77);
  return [
    { tensor: `ids of ${which}`, worst: worstAbsolute(tokenizer.encode(text), golden), hold: 0 },
    { tensor: `77 ids of ${which}`, worst: worstAbsolute(tokenizer.encodeToLength(text), fitted), hold: 0 },
  ];
}
