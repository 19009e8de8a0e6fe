import type { Config } from '../../config/schema.ts';

/** As the provider counts: 1024 × 1024 pixels are one. */
const MEGAPIXEL = 2 ** 20;

/** What decides the price of a job. */
export interface Priced {
  readonly endpoint: string;
  /** Of each image, in pixels. */
  readonly sizes: readonly { readonly width: number; readonly height: number }[];
  /** Seconds of inference, where the provider says them. */
  readonly seconds: number | undefined;
}

/** What a job costs by the configured table, in USD; nothing when its endpoint has no price there. */
export function priceOf(prices: Config['fal']['prices'], { endpoint, sizes, seconds }: Priced): number | undefined {
  const price = prices[endpoint];
  if (price === undefined) return undefined;
  const { per_image = 0, per_megapixel = 0, per_second = 0 } = price;
  const megapixels = sizes.reduce((sum, { width, height }) => sum + Math.ceil((width * height) / MEGAPIXEL), 0);
  return per_image * sizes.length + per_megapixel * megapixels + per_second * (seconds ?? 0);
}
