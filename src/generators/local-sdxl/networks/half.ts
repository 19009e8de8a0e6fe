/** Numbers rounded to half precision, as raw bits; written into `into` when it is given. */
export function toHalfBits(values: Float32Array, into: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  new Float16Array(into.buffer, into.byteOffset, into.length).set(values);
  return into;
}

/** Raw bits of half precision as numbers; written into `into` when it is given. */
export function fromHalfBits(bits: Uint16Array, into: Float32Array = new Float32Array(bits.length)): Float32Array {
  into.set(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
  return into;
}

/** Rounds numbers to what half precision can say, in place. */
export function roundToHalf(values: Float32Array): void {
  for (let i = 0; i < values.length; i += 1) values[i] = Math.f16round(values[i] ?? 0);
}
