import { expect, it } from 'vitest';
import { noiseOf } from '../../../../src/generators/mock/terrain/numbers.ts';
import { createWave } from '../../../../src/generators/mock/terrain/waves.ts';

const size = { width: 301, height: 200 };
const noise = noiseOf(7, 'test');

function direct(frequency: number, x: number, y: number): number {
  const scale = frequency / size.width;
  return noise((x + 0.5 - size.width / 2) * scale, (y + 0.5 - size.height / 2) * scale);
}

/** The largest and the mean distance between a wave and the noise that it stands for. */
function distances(frequency: number): { largest: number; mean: number } {
  const wave = createWave(noise, frequency, size);
  const seen = new Uint8Array(size.width).fill(1);
  const all: number[] = [];
  for (let y = 0; y < size.height; y += 1) {
    const row = wave.row(y, seen);
    for (let x = 0; x < size.width; x += 1) all.push(Math.abs((row[x] ?? 0) - direct(frequency, x, y)));
  }
  return { largest: Math.max(...all), mean: all.reduce((sum, one) => sum + one, 0) / all.length };
}

it('short waves are the noise itself at every pixel that is seen', () => {
  expect(distances(90).largest).toBeLessThan(1e-6);
  const wave = createWave(noise, 90, size);
  const seen = new Uint8Array(size.width);
  seen[17] = 1;
  const row = wave.row(3, seen);
  expect(row[17]).toBeCloseTo(direct(90, 17, 3));
  expect(row.filter((value) => value !== 0)).toHaveLength(1);
});

it.each([5, 13, 29])('long waves, as %i across, are near it, since few places tell all of them', (frequency) => {
  const { largest, mean } = distances(frequency);
  expect(mean).toBeLessThan(0.05);
  expect(largest).toBeLessThan(0.4);
});

it('a row is the same whichever rows came before', () => {
  const seen = new Uint8Array(size.width).fill(1);
  const inOrder = createWave(noise, 9, size);
  for (let y = 0; y < 77; y += 1) inOrder.row(y, seen);
  const rows = [77, 20, 180, 77].map((y) => createWave(noise, 9, size).row(y, seen).slice());
  expect(inOrder.row(77, seen)).toEqual(rows[0]);
  expect([20, 180, 77].map((y) => inOrder.row(y, seen).slice())).toEqual(rows.slice(1));
});
