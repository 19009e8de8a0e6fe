import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';

/** Words, numbers and marks as CLIP takes them apart; from OpenAI's `simple_tokenizer.py`. */
const PATTERN = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** CLIP's vocabulary: 256 bytes, the same at a word's end, the merges, and the two marks. Files may list more merges. */
const MERGES = 49_152 - 256 - 2;

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';

const token = z.union([z.string().transform((content) => ({ content })), z.object({ content: z.string() })]);

const configSchema = z.object({
  bos_token: token.default({ content: BOS }),
  eos_token: token.default({ content: EOS }),
  pad_token: token.nullish(),
  model_max_length: z.number().optional(),
  added_tokens_decoder: z.record(z.string(), z.object({ content: z.string() })).default({}),
});

const vocabularySchema = z.record(z.string(), z.int().min(0));

/** What of a `tokenizer.json` is not in the other files. Newer exports write merges as pairs, older ones as lines. */
const fastSchema = z.object({
  model: z.object({
    vocab: vocabularySchema,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()]).transform((pair) => pair.join(' '))])),
  }),
});

/** The text of a tokenizer folder's files. */
export interface TokenizerFiles {
  /** `tokenizer_config.json`. */
  readonly config: string;
  /** `vocab.json` with `merges.txt`, or `tokenizer.json`, which holds both. */
  readonly model: { readonly vocab: string; readonly merges: string } | { readonly tokenizer: string };
}

/** CLIP's byte-pair encoding, equal to the fast tokenizer of transformers. */
export interface ClipTokenizer {
  /** Positions that the text encoder takes. */
  readonly length: number;
  /** Ids with start and end, neither cut nor padded. */
  encode(text: string): number[];
  /** Ids as the text encoder takes them: cut to `length` with the end kept, or padded. */
  encodeToLength(text: string): Int32Array;
}

/** Reads a folder as the exporters write it. Throws Node's error for a file that is missing, Zod's for one that is wrong. */
export async function loadClipTokenizer(folder: string): Promise<ClipTokenizer> {
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  const config = await read('tokenizer_config.json');
  try {
    const [vocab, merges] = await Promise.all([read('vocab.json'), read('merges.txt')]);
    return createClipTokenizer({ config, model: { vocab, merges } });
  } catch (error) {
    if (!isMissing(error)) throw error;
    return createClipTokenizer({ config, model: { tokenizer: await read('tokenizer.json') } });
  }
}

/** Makes a tokenizer of a folder's files. Throws for ones that are not a CLIP tokenizer's. */
export function createClipTokenizer(files: TokenizerFiles): ClipTokenizer {
  const config = configSchema.parse(JSON.parse(files.config));
  const { vocab, merges } = readModel(files.model);
  const special = specialTokens(config, vocab);
  const idOf = (content: string) => {
    const id = special.get(content);
    if (id === undefined) throw new Error(`The tokenizer's vocabulary lacks ${content}.`);
    return id;
  };
  const bos = idOf(config.bos_token.content);
  const eos = idOf(config.eos_token.content);
  const pad = config.pad_token == null ? eos : idOf(config.pad_token.content);
  // Configs of other tokenizers hold 1e30 for "no limit"; CLIP's encoders have 77 positions.
  const length = Math.min(config.model_max_length ?? 77, 77);

  const tokenizer = new Tokenizer(
    {
      added_tokens: [...special].map(([content, id]) => ({ id, content, special: true, normalized: false })),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: PATTERN }, behavior: 'Removed', invert: true },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: null,
      model: { type: 'BPE', unk_token: EOS, end_of_word_suffix: '</w>', vocab, merges },
    },
    {},
  );

  function encode(text: string): number[] {
    return [bos, ...tokenizer.encode(normalize(text)).ids, eos];
  }

  return {
    length,
    encode,
    encodeToLength(text) {
      const ids = encode(text);
      const padded = new Int32Array(length).fill(pad);
      padded.set(ids.slice(0, length));
      if (ids.length > length) padded[length - 1] = eos;
      return padded;
    },
  };
}

/**
 * NFC, white space runs to one space, lower case. Not left to the library, which lower-cases whole words (a final Σ
 * becomes ς, where the reference goes character by character), nor to `\s`: U+0085 is white space, U+FEFF is not.
 */
function normalize(text: string): string {
  const spaced = text.normalize('NFC').replace(/\p{White_Space}+/gu, ' ');
  return Array.from(spaced, (character) => character.toLowerCase()).join('');
}

function readModel(model: TokenizerFiles['model']): { vocab: Record<string, number>; merges: string[] } {
  if ('tokenizer' in model) return fastSchema.parse(JSON.parse(model.tokenizer)).model;
  const [, ...lines] = model.merges.split(/\r?\n/);
  const vocab = vocabularySchema.parse(JSON.parse(model.vocab));
  return { vocab, merges: lines.slice(0, MERGES).filter((line) => line !== '') };
}

/**
 * Tokens that are split out of any text before it is taken apart. The padding token is one of them: the second encoder
 * pads with `!`, so every `!` of a prompt becomes padding there.
 */
function specialTokens(config: z.output<typeof configSchema>, vocab: Record<string, number>): Map<string, number> {
  const special = new Map<string, number>();
  for (const [id, { content }] of Object.entries(config.added_tokens_decoder)) special.set(content, Number(id));
  for (const named of [config.bos_token, config.eos_token, config.pad_token]) {
    const id = named == null ? undefined : vocab[named.content];
    if (named != null && id !== undefined && !special.has(named.content)) special.set(named.content, id);
  }
  return special;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
