import { createImages } from '../../src/store/convert.ts';

const images = createImages({ maxPixels: 2 ** 24, maxBytes: 2 ** 26 });
const drawn = new Map<string, Promise<Buffer>>();

/** A PNG of one colour, which tells small numbers apart; each is drawn once. */
export function solidPng(size: { readonly width: number; readonly height: number }, shade: number): Promise<Buffer> {
  const key = `${size.width} ${size.height} ${shade}`;
  const known = drawn.get(key) ?? draw();
  drawn.set(key, known);
  return known;

  async function draw(): Promise<Buffer> {
    const colour = { r: Math.floor(shade / 65_536) % 256, g: Math.floor(shade / 256) % 256, b: shade % 256 };
    const { bytes } = await images.encode(
      { kind: 'raw', pixels: images.blank(size, colour) },
      { format: 'png', quality: 100 },
    );
    return bytes;
  }
}
