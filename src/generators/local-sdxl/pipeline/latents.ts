import type { LatentScale } from '../model/model-folder.ts';
import type { Planes } from '../networks/vae.ts';

const { fround } = Math;

/** Bounds of the log-variance, as diffusers' `DiagonalGaussianDistribution` has them. */
const LOG_VARIANCE = [-30, 20] as const;

/**
 * Latents of an encoded image, once for each image of a batch: drawn from the Gaussian that the encoder gives, as the
 * reference does, and brought to the UNet's scale. `noise` is not used when the graph drew them itself.
 */
export function sampleLatents(encoded: Planes, noise: Float32Array, scale: LatentScale, images: number): Float32Array {
  const { data, channels, height, width } = encoded;
  const plane = height * width;
  const latentChannels = channels === 8 ? channels / 2 : channels;
  const length = latentChannels * plane;
  const all = new Float32Array(images * length);
  for (let image = 0; image < images; image += 1) {
    for (let i = 0; i < length; i += 1) {
      const mean = data[i] ?? 0;
      const sample =
        channels === 8 ? mean + deviationOf(data[length + i] ?? 0) * (noise[image * length + i] ?? 0) : mean;
      const channel = Math.floor(i / plane);
      all[image * length + i] = (fround(sample) - (scale.mean?.[channel] ?? 0)) * factorOf(scale, channel);
    }
  }
  return all;
}

function deviationOf(logVariance: number): number {
  return Math.exp(0.5 * Math.min(Math.max(logVariance, LOG_VARIANCE[0]), LOG_VARIANCE[1]));
}

/** From the UNet's scale to the decoder's. */
export function toDecoder(latents: Float32Array, scale: LatentScale): Float32Array {
  const plane = latents.length / 4;
  return latents.map((value, i) => {
    const channel = Math.floor(i / plane);
    const scaled = scale.std === undefined ? value / fround(scale.scaling) : value / factorOf(scale, channel);
    return scaled + (scale.mean?.[channel] ?? 0);
  });
}

function factorOf({ scaling, std }: LatentScale, channel: number): number {
  return fround(scaling) / (std?.[channel] ?? 1);
}
