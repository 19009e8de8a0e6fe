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
  for (let i = 0; i < plane; i += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      let value = BIAS[colour] ?? 0;
      for (let channel = 0; channel < 4; channel += 1) {
        value += (latents[channel * plane + i] ?? 0) * (FACTORS[channel]?.[colour] ?? 0);
      }
      data[i * 3 + colour] = (value + 1) * 127.5;
    }
  }
  return { data: new Uint8Array(data.buffer), width, height, channels: 3 };
}
