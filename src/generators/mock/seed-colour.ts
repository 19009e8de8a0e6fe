import { createHash } from 'node:crypto';

/** Channels 0 to 255. */
export interface Colour {
  readonly r: number;
  readonly g: number;
  readonly b: number;
}

/** A colour of middling brightness; equal arguments give equal colours, others nearly always another one. */
export function colourOf(seed: number, ...places: readonly (string | undefined)[]): Colour {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...places]))
    .digest();
  const hue = (digest.readUInt16BE(0) / 0x1_0000) * 6;
  const strong = 150 + digest.readUInt8(2) / 4;
  const weak = 40 + digest.readUInt8(3) / 4;
  return { r: channel(hue, 0), g: channel(hue, 4), b: channel(hue, 2) };

  /** The hexagon model of hues: each channel is a trapezium, a third of the circle from the others. */
  function channel(position: number, offset: number): number {
    const distance = Math.abs(((position + offset) % 6) - 3);
    return Math.round(weak + (strong - weak) * Math.min(1, Math.max(0, distance - 1)));
  }
}
