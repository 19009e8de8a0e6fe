import type { RawPixels } from '../../generator.ts';

/**
 * How the four channels of SDXL's latents look: one row a channel, red, green and blue, then what is added.
 * ComfyUI's `latent_formats.py`, class SDXL.
 */
const FACTORS = [
  [0.3651, 0.4232, 0.4341],
  [-0.2533, -0.0042, 0.1068],
  [0.1076, 0.1111, -0.0362],
  [-0.3165, -0.2492, -0.2188],
] as const;
const BIAS = [0.1084, -0.0175, -0.0011] as const;

/** A rough picture of one image's latents, one pixel each: [4, height, width] at the UNet's scale. */
export function drawPreview(latents: Float32Array, height: number, width: number): RawPixels {
  const plane = height * width;
  const data = new Uint8ClampedArray(plane * 3);
  for (let colour = 0; colour < 3; colour += 1) {
    // From −1…1 to 0…255, in the weights themselves: this runs at every step that somebody watches.
    const [a = 0, b = 0, c = 0, d = 0] = FACTORS.map((row) => (row[colour] ?? 0) * 127.5);
    const base = ((BIAS[colour] ?? 0) + 1) * 127.5;
    for (let i = 0; i < plane; i += 1) {
      data[i * 3 + colour] =
        base +
        a * (latents[i] ?? 0) +
        b * (latents[plane + i] ?? 0) +
        c * (latents[2 * plane + i] ?? 0) +
        d * (latents[3 * plane + i] ?? 0);
    }
  }
  return { data: new Uint8Array(data.buffer), width, height, channels: 3 };
}
