import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { resizeLanczos } from '../../../src/generators/local-sdxl/pil-resize.ts';

const cases = join(import.meta.dirname, '../../fixtures/sdxl-goldens/cases');

describe("Pillow's Lanczos", () => {
  it('gives the same bytes for a picture of another shape', async () => {
    const folder = join(cases, 'a21-img2img-euler-08');
    const { data, info } = await sharp(join(folder, 'image.png')).raw().toBuffer({ resolveWithObject: true });
    const resized = resizeLanczos({ ...info, data }, 96, 64);
    expect({ ...resized, data: undefined }).toEqual({ data: undefined, width: 96, height: 64, channels: 3 });
    expect(Buffer.from(resized.data).equals(await readFile(join(folder, 'image_resized.bin')))).toBe(true);
  });

  it('leaves a picture of the right size as it is', () => {
    const image = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1, channels: 3 };
    expect(resizeLanczos(image, 2, 1)).toBe(image);
  });

  it('keeps a plain colour plain, at any size and with one channel', () => {
    const plain = { data: new Uint8Array(35).fill(201), width: 7, height: 5, channels: 1 };
    for (const [width, height] of [
      [1, 1],
      [64, 96],
      [7, 96],
      [3, 5],
    ] as const) {
      const { data } = resizeLanczos(plain, width, height);
      expect([...new Set(data)]).toEqual([201]);
      expect(data).toHaveLength(width * height);
    }
  });

  it('holds overshoot at an edge within a byte', () => {
    const edge = { data: Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255), width: 8, height: 1, channels: 1 };
    const { data } = resizeLanczos(edge, 32, 1);
    expect(Math.min(...data)).toBe(0);
    expect(Math.max(...data)).toBe(255);
    expect(data[15]).toBe(255 - (data[16] ?? 0));
  });
});
