/** How far one tensor was from its golden values. */
export interface Measure {
  readonly tensor: string;
  /** The worst difference; NaN or infinite where something is not a number or lacks. */
  readonly worst: number;
  /** What it may be at most. */
  readonly hold: number;
}

/** One thing that was compared: a row of a table, or a case. */
export interface Check {
  readonly name: string;
  readonly measures: readonly Measure[];
  /** Why nothing could be compared. */
  readonly error?: string;
}

/** Whether everything was compared and is within its bounds. */
export function holds({ measures, error }: Check): boolean {
  return error === undefined && measures.length > 0 && measures.every(({ worst, hold }) => worst <= hold);
}

/** Runs a comparison, and turns what it throws into a check that does not hold. */
export async function check(
  name: string,
  compare: () => readonly Measure[] | Promise<readonly Measure[]>,
): Promise<Check> {
  try {
    return { name, measures: await compare() };
  } catch (error) {
    return { name, measures: [], error: error instanceof Error ? error.message : String(error) };
  }
}

/** The largest difference of two lists; infinite when their lengths differ, NaN when one holds what is no number. */
export function worstAbsolute(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  return worstBy(actual, golden, (a, b) => Math.abs(a - b));
}

/** The largest difference in units of the golden value; a golden 0 must be met exactly. */
export function worstRelative(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  return worstBy(actual, golden, (a, b) => (a === b ? 0 : Math.abs(a - b) / Math.abs(b)));
}

/** The largest difference in units of the largest golden value. */
export function worstOfLargest(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  return worstAbsolute(actual, golden) / worstAbsolute(golden, new Float64Array(golden.length));
}

function worstBy(
  actual: ArrayLike<number>,
  golden: ArrayLike<number>,
  difference: (a: number, b: number) => number,
): number {
  if (actual.length !== golden.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < golden.length; i += 1) worst = Math.max(worst, difference(actual[i] ?? NaN, golden[i] ?? NaN));
  return worst;
}
