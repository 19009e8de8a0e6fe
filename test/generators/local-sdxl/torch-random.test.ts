import { describe, expect, it } from 'vitest';
import { TorchGenerator } from '../../../src/generators/local-sdxl/torch-random.ts';

function draw(generator: TorchGenerator, size: number): number[] {
  const values = new Float32Array(size);
  generator.randn(values);
  return [...values];
}

describe('the generator of torch', () => {
  it('gives what every tutorial shows for torch.manual_seed(0) and small draws', () => {
    const expected = [1.541, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986];
    draw(new TorchGenerator(0), 6).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] ?? NaN, 4);
    });
  });

  it('keeps the second of a pair for the next small draw', () => {
    const whole = draw(new TorchGenerator(3), 4);
    const generator = new TorchGenerator(3);
    expect([...draw(generator, 1), ...draw(generator, 1), ...draw(generator, 2)]).toEqual(whole);
  });

  it('takes only the lowest 32 bits of a seed, also of a negative one', () => {
    const large = draw(new TorchGenerator(2n ** 64n - 1n), 16);
    expect(draw(new TorchGenerator(-1), 16)).toEqual(large);
    expect(draw(new TorchGenerator(2 ** 32 - 1), 16)).toEqual(large);
    expect(draw(new TorchGenerator(2 ** 32 - 2), 16)).not.toEqual(large);
  });

  it('goes on where the last draw ended', () => {
    const generator = new TorchGenerator(9);
    const first = draw(generator, 32);
    expect(draw(generator, 32)).not.toEqual(first);
    expect(first).toEqual(draw(new TorchGenerator(9), 64).slice(0, 32));
  });

  it('is as Gaussian as noise must be', () => {
    const values = draw(new TorchGenerator(7), 65_536);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  });
});
