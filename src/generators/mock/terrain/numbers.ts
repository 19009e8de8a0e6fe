import Alea from 'alea';
import type { NoiseFunction2D } from 'simplex-noise';
import { createNoise2D } from 'simplex-noise';

/** `value` within 0 and 1. */
export function clamp01(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

/** Length of a vector; many times as fast as `Math.hypot`, which guards against overflow. */
export function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

/** 0 below `low`, 1 above `high`, an S-curve between: 3t² − 2t³. */
export function smoothstep(low: number, high: number, value: number): number {
  const t = clamp01((value - low) / (high - low));
  return t * t * (3 - 2 * t);
}

/** A random number in [0, 1) of two integers and a salt: the finaliser of MurmurHash3 over their mix. */
export function hash(x: number, y: number, salt: number): number {
  let h = Math.imul(x, 0x27d4eb2f) ^ Math.imul(y, 0x165667b1) ^ Math.imul(salt, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

/** Random numbers in [0, 1), one sequence for each seed and purpose. */
export function randomOf(seed: number, purpose: string): () => number {
  return Alea(`${seed}/${purpose}`);
}

/** Simplex noise from −1 to 1, one field for each seed and purpose. */
export function noiseOf(seed: number, purpose: string): NoiseFunction2D {
  return createNoise2D(randomOf(seed, purpose));
}

/** Fractal sum of `octaves` of noise, each twice as fine and half as strong as the one before; about −1 to 1. */
export function fractal(noise: NoiseFunction2D, x: number, y: number, octaves: number): number {
  let sum = 0;
  let weight = 0.5;
  let frequency = 1;
  for (let octave = 0; octave < octaves; octave += 1) {
    sum += weight * noise(x * frequency + octave * 17.3, y * frequency - octave * 9.1);
    weight *= 0.5;
    frequency *= 2.03;
  }
  return sum;
}

/**
 * Ridged multifractal, 0 to about 1: crests where noise crosses zero, each octave strongest on the crests of the one
 * before (Musgrave, in Ebert et al., Texturing and Modeling, 3rd ed., ch. 16).
 */
export function ridged(noise: NoiseFunction2D, x: number, y: number, octaves: number): number {
  let sum = 0;
  let weight = 1;
  let scale = 0.5;
  let frequency = 1;
  for (let octave = 0; octave < octaves; octave += 1) {
    const crest = 1 - Math.abs(noise(x * frequency + octave * 31.7, y * frequency + octave * 5.9));
    const signal = crest * crest * weight;
    sum += signal * scale;
    weight = clamp01(signal * 1.8);
    scale *= 0.5;
    frequency *= 2.07;
  }
  return sum;
}
