import type { Grid, Size } from './grid.ts';
import { MARGIN, visibleSize } from './grid.ts';

/** Reads values between the cells of a grid, row by row of a picture. */
export interface RowReader {
  /** For each pixel of a row, the cell left of it, and how far it is towards the next, 0 to 1. */
  readonly cells: Int32Array;
  readonly shares: Float32Array;
  /** Makes `rows` hold row `y`: mixed between two rows of the grid, for `shares` to mix between two cells. */
  linear(fields: readonly Float32Array[], rows: readonly Float32Array[], y: number): void;
  /** A row of `field`, smooth in its slopes too, by cubic B-splines. */
  cubic(field: Float32Array, y: number, pixels: Float32Array, offset: number): void;
}

/** A reader of `grid` for a picture of this size. */
export function createRowReader(grid: Grid, { width, height }: Size): RowReader {
  const visible = visibleSize(grid);
  const scaleX = visible.width / width;
  const scaleY = visible.height / height;
  const cells = new Int32Array(width);
  const shares = new Float32Array(width);
  for (let x = 0; x < width; x += 1) {
    const at = (x + 0.5) * scaleX + MARGIN - 0.5;
    cells[x] = Math.floor(at);
    shares[x] = at - Math.floor(at);
  }
  const column = new Float32Array(grid.width);

  return {
    cells,
    shares,

    linear(fields, rows, y) {
      const at = (y + 0.5) * scaleY + MARGIN - 0.5;
      const above = Math.floor(at) * grid.width;
      const share = at - Math.floor(at);
      for (let index = 0; index < fields.length; index += 1) {
        const field = fields[index];
        const row = rows[index];
        if (field === undefined || row === undefined) continue;
        for (let x = 0, cell = above; x < grid.width; x += 1, cell += 1) {
          const value = field[cell] ?? 0;
          row[x] = value + ((field[cell + grid.width] ?? 0) - value) * share;
        }
      }
    },

    cubic(field, y, pixels, offset) {
      const at = (y + 0.5) * scaleY + MARGIN - 0.5;
      const top = (Math.floor(at) - 1) * grid.width;
      const [a, b, c, d] = splineWeights(at - Math.floor(at));
      for (let x = 0, cell = top; x < grid.width; x += 1, cell += 1) {
        column[x] =
          a * (field[cell] ?? 0) +
          b * (field[cell + grid.width] ?? 0) +
          c * (field[cell + 2 * grid.width] ?? 0) +
          d * (field[cell + 3 * grid.width] ?? 0);
      }
      for (let x = 0; x < width; x += 1) {
        const t = shares[x] ?? 0;
        const cell = cells[x] ?? 0;
        const t2 = t * t;
        const t3 = t2 * t;
        pixels[offset + x] =
          ((1 - 3 * t + 3 * t2 - t3) * (column[cell - 1] ?? 0) +
            (4 - 6 * t2 + 3 * t3) * (column[cell] ?? 0) +
            (1 + 3 * t + 3 * t2 - 3 * t3) * (column[cell + 1] ?? 0) +
            t3 * (column[cell + 2] ?? 0)) /
          6;
      }
    },
  };
}

/** Weights of the four cells around a place: the uniform cubic B-spline. */
function splineWeights(t: number): readonly [number, number, number, number] {
  const t2 = t * t;
  const t3 = t2 * t;
  return [(1 - 3 * t + 3 * t2 - t3) / 6, (4 - 6 * t2 + 3 * t3) / 6, (1 + 3 * t + 3 * t2 - 3 * t3) / 6, t3 / 6];
}
