/** Turns the UNet's output for all rows into what the scheduler gets; the result is overwritten by the next call. */
export type Guidance = (output: Float32Array) => Float32Array;

/**
 * Classifier-free guidance, Ho and Salimans 2022: away from the rows without the prompt, `scale` times as far as those
 * with it. `rescale` is φ of Lin and others 2023, section 3.4, which takes back what that adds to the contrast.
 */
export function createGuidance(options: {
  readonly scale: number;
  readonly rescale: number;
  readonly images: number;
  /** Numbers in all images' latents. */
  readonly length: number;
}): Guidance {
  const { scale, rescale, images, length } = options;
  const guided = new Float32Array(length);
  const perImage = length / images;
  return (output) => {
    const without = output.subarray(0, length);
    const within = output.subarray(length, 2 * length);
    for (let i = 0; i < length; i += 1) {
      const base = without[i] ?? 0;
      guided[i] = base + scale * ((within[i] ?? 0) - base);
    }
    if (rescale > 0) {
      for (let image = 0; image < images; image += 1) {
        const from = image * perImage;
        rescaleContrast(guided.subarray(from, from + perImage), within.subarray(from, from + perImage), rescale);
      }
    }
    return guided;
  };
}

function rescaleContrast(guided: Float32Array, text: Float32Array, amount: number): void {
  const ratio = deviation(text) / deviation(guided);
  const factor = amount * ratio + (1 - amount);
  for (let i = 0; i < guided.length; i += 1) guided[i] = (guided[i] ?? 0) * factor;
}

/** Whether it divides by n or n − 1 does not matter to a ratio. By index: iterators of typed arrays are slow. */
function deviation(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] ?? 0;
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i += 1) squares += ((values[i] ?? 0) - mean) ** 2;
  return Math.sqrt(squares / values.length);
}
