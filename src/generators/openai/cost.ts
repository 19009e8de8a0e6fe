import type { TokenPrices } from '../../config/openai-schema.ts';
import type { Usage } from './wire.ts';

const MILLION = 1_000_000;

/** The prices of a model: those of the longest name in the table that its own begins with. */
export function pricesOf(model: string, table: Readonly<Record<string, TokenPrices>>): TokenPrices | undefined {
  const names = Object.keys(table).filter((name) => model.startsWith(name));
  const [longest = ''] = names.toSorted((a, b) => b.length - a.length);
  return table[longest];
}

/**
 * What an answer has cost, in USD; nothing when neither tokens nor images of the model have a price. Tokens that the
 * answer does not tell apart are taken for text on the way in and for image on the way out.
 */
export function costOf(prices: TokenPrices | undefined, usage: Usage | undefined, images: number): number | undefined {
  if (prices === undefined) return undefined;
  const { text_input, image_input, text_output, image_output, per_image } = prices;
  if (usage === undefined) return per_image === undefined ? undefined : per_image * images;
  const input = usage.input_tokens_details ?? { text_tokens: usage.input_tokens, image_tokens: 0 };
  const output = usage.output_tokens_details ?? { text_tokens: 0, image_tokens: usage.output_tokens };
  const tokens =
    input.text_tokens * (text_input ?? 0) +
    input.image_tokens * (image_input ?? 0) +
    output.text_tokens * (text_output ?? 0) +
    output.image_tokens * (image_output ?? 0);
  return tokens / MILLION + (per_image ?? 0) * images;
}
