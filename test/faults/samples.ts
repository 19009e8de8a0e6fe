import { readdir, readFile } from 'node:fs/promises';

/** What a process held at a moment. */
export interface Sample {
  readonly pid: number;
  /** Seconds after the beginning of the measurement. */
  readonly at: number;
  /** Its own memory, without pages of files, which the system can take back: those of the journal grow with it. */
  readonly memoryMb: number;
  readonly descriptors: number;
}

/** Asks the system; undefined when the process has just ended. */
export async function takeSample(pid: number, at: number): Promise<Sample | undefined> {
  try {
    const [status, descriptors] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readdir(`/proc/${pid}/fd`),
    ]);
    const kib = Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN);
    return { pid, at, memoryMb: kib / 1024, descriptors: descriptors.length };
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}

/** How the memory of the process that lived longest went. A process takes a while to warm up: its first half is left out. */
export function describeGrowth(samples: readonly Sample[]): string {
  const longest = Object.values(Object.groupBy(samples, ({ pid }) => String(pid)))
    .filter((group) => group !== undefined)
    .toSorted((a, b) => b.length - a.length)[0];
  const warm = longest?.slice(longest.length >> 1) ?? [];
  const [first] = warm;
  const last = warm.at(-1);
  if (first === undefined || last === undefined || first === last) return 'no process lived long enough to be measured';
  const mean = (of: (sample: Sample) => number): number =>
    warm.reduce((sum, sample) => sum + of(sample), 0) / warm.length;
  const at = mean((sample) => sample.at);
  const memory = mean((sample) => sample.memoryMb);
  // Least squares.
  const slope =
    mean((sample) => (sample.at - at) * (sample.memoryMb - memory)) / mean((sample) => (sample.at - at) ** 2);
  const descriptors = warm.map((sample) => sample.descriptors);
  return (
    `${Math.round(memory)} MB of its own, ${slope >= 0 ? '+' : ''}${(slope * 3600).toFixed(0)} MB/h over its last ` +
    `${Math.round(last.at - first.at)} s; ${Math.min(...descriptors)} to ${Math.max(...descriptors)} descriptors`
  );
}
