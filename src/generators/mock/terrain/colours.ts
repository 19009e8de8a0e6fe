/** Red, green, blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** A colour from `#rrggbb`. */
export function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 0xff, value & 0xff];
}

/** Three colours from `#rrggbb #rrggbb #rrggbb`. */
export function threeRgb(hexes: string): readonly [Rgb, Rgb, Rgb] {
  const [one = BLACK, two = BLACK, three = BLACK] = rgbs(hexes);
  return [one, two, three];
}

/** Any number of colours, as in `threeRgb`. */
export function rgbs(hexes: string): readonly Rgb[] {
  return hexes.split(' ').map(rgb);
}

const BLACK: Rgb = [0, 0, 0];
