/** Bits and constants of MT19937 (Matsumoto and Nishimura 1998). */
const STATE = 624;
const SHIFT = 397;

/** Values that PyTorch makes together; smaller draws go another way. */
const BLOCK = 16;

/** Precision of a draw. PyTorch's half-precision draws are another stream, not the float32 values rounded. */
export type DrawType = 'float32' | 'float16';

/**
 * PyTorch's generator on the CPU: `torch.Generator().manual_seed(seed)` and `torch.randn`.
 * Values agree to 3e-6: PyTorch computes them with its own vector logarithm and sine, we with double precision.
 */
export class TorchGenerator {
  readonly #state = new Uint32Array(STATE);
  #at = STATE;
  /** The second half of a pair, kept between small draws. */
  #spare: number | undefined;

  /** Only the lowest 32 bits of the seed count, as in PyTorch. */
  constructor(seed: number | bigint) {
    const state = this.#state;
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < STATE; i += 1) {
      const before = state[i - 1] ?? 0;
      state[i] = Math.imul(before ^ (before >>> 30), 1_812_433_253) + i;
    }
  }

  /** Fills `out` with one draw of Gaussian noise, as `torch.randn(out.length)`; draws in a row continue the stream. */
  randn(out: Float32Array, type: DrawType = 'float32'): void {
    if (out.length < BLOCK) this.#fillSmall(out);
    else if (type === 'float32') this.#fillFloat32(out);
    else this.#fillFloat16(out);
    if (type === 'float16') for (let i = 0; i < out.length; i += 1) out[i] = Math.f16round(out[i] ?? 0);
  }

  /** One value after another, in double precision, two from each pair of uniform numbers. */
  #fillSmall(out: Float32Array): void {
    for (let i = 0; i < out.length; i += 1) {
      if (this.#spare !== undefined) {
        out[i] = this.#spare;
        this.#spare = undefined;
        continue;
      }
      const angle = 2 * Math.PI * this.#double();
      const radius = Math.sqrt(-2 * Math.log1p(-this.#double()));
      out[i] = radius * Math.cos(angle);
      this.#spare = radius * Math.sin(angle);
    }
  }

  /** Uniform numbers for all, then blocks; a rest is covered by a block of new numbers over the last 16. */
  #fillFloat32(out: Float32Array): void {
    for (let i = 0; i < out.length; i += 1) out[i] = this.#float();
    for (let at = 0; at + BLOCK <= out.length; at += BLOCK) transform(out, at);
    if (out.length % BLOCK !== 0) this.#fillBlock(out, out.length - BLOCK);
  }

  /** As for float32, but a block's uniform numbers are drawn with it, so that a rest takes none before its own. */
  #fillFloat16(out: Float32Array): void {
    for (let at = 0; at + BLOCK <= out.length; at += BLOCK) this.#fillBlock(out, at);
    if (out.length % BLOCK !== 0) this.#fillBlock(out, out.length - BLOCK);
  }

  #fillBlock(out: Float32Array, at: number): void {
    for (let i = at; i < at + BLOCK; i += 1) out[i] = this.#float();
    transform(out, at);
  }

  /** Uniform in [0, 1) with the 24 bits of a float32. */
  #float(): number {
    return (this.#next() & 0xff_ffff) * 2 ** -24;
  }

  /** Uniform in [0, 1) with the 53 bits of a double. */
  #double(): number {
    const high = this.#next() & 0x1f_ffff;
    return (high * 2 ** 32 + this.#next()) * 2 ** -53;
  }

  #next(): number {
    if (this.#at === STATE) this.#twist();
    let y = this.#state[this.#at] ?? 0;
    this.#at += 1;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE; i += 1) {
      const y = ((state[i] ?? 0) & 0x8000_0000) | ((state[(i + 1) % STATE] ?? 0) & 0x7fff_ffff);
      state[i] = (state[(i + SHIFT) % STATE] ?? 0) ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0);
    }
    this.#at = 0;
  }
}

/** Box and Muller 1958 on 16 uniform numbers: eight radii, then eight angles. */
function transform(values: Float32Array, at: number): void {
  for (let i = at; i < at + BLOCK / 2; i += 1) {
    const radius = Math.sqrt(-2 * Math.log(1 - (values[i] ?? 0)));
    const angle = 2 * Math.PI * (values[i + BLOCK / 2] ?? 0);
    values[i] = radius * Math.cos(angle);
    values[i + BLOCK / 2] = radius * Math.sin(angle);
  }
}
