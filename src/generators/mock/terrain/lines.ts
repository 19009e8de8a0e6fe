import type { Size } from './grid.ts';
import type { RiverPieces } from './rivers.ts';
import type { Polyline } from './roads.ts';

/** How much of each pixel lines cover, 0 to 255. */
export type Mask = Uint8Array;

/** An empty mask. */
export function createMask({ width, height }: Size): Mask {
  return new Uint8Array(width * height);
}

/** Draws rivers; those thinner than a pixel stay visible as faint lines. */
export function drawRivers(mask: Mask, size: Size, pieces: RiverPieces): void {
  for (let at = 0; at < pieces.length; at += 5) {
    const width = pieces[at + 4] ?? 0;
    drawPiece(mask, size, pieces[at] ?? 0, pieces[at + 1] ?? 0, pieces[at + 2] ?? 0, pieces[at + 3] ?? 0, width);
  }
}

/** Draws lines of one width, in the grid's units. */
export function drawLines(mask: Mask, size: Size, lines: readonly Polyline[], width: number): void {
  for (const line of lines) {
    for (let at = 0; at + 3 < line.length; at += 2) {
      drawPiece(mask, size, line[at] ?? 0, line[at + 1] ?? 0, line[at + 2] ?? 0, line[at + 3] ?? 0, width);
    }
  }
}

/** A piece with round ends, its edges as soft as a pixel. */
function drawPiece(mask: Mask, size: Size, u0: number, v0: number, u1: number, v1: number, lineWidth: number): void {
  const { width, height } = size;
  const scale = Math.max(width, height);
  const wanted = (lineWidth * scale) / 2;
  const half = Math.max(0.45, wanted);
  const strength = 255 * Math.min(1, Math.max(0.25, wanted / half));
  const x0 = u0 * scale + width / 2;
  const y0 = v0 * scale + height / 2;
  const dx = u1 * scale + width / 2 - x0;
  const dy = v1 * scale + height / 2 - y0;
  const lengthSquared = dx * dx + dy * dy || 1e-9;
  const reach = half + 1;
  const left = Math.max(0, Math.floor(Math.min(x0, x0 + dx) - reach));
  const right = Math.min(width - 1, Math.ceil(Math.max(x0, x0 + dx) + reach));
  const top = Math.max(0, Math.floor(Math.min(y0, y0 + dy) - reach));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(y0, y0 + dy) + reach));
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      const px = x + 0.5 - x0;
      const py = y + 0.5 - y0;
      const along = Math.min(1, Math.max(0, (px * dx + py * dy) / lengthSquared));
      const ox = px - along * dx;
      const oy = py - along * dy;
      const cover = half + 0.5 - Math.sqrt(ox * ox + oy * oy);
      if (cover <= 0) continue;
      const value = strength * Math.min(1, cover);
      const at = y * width + x;
      if (value > (mask[at] ?? 0)) mask[at] = value;
    }
  }
}
