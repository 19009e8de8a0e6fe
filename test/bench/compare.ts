/** What one run of one side gave, by name, as in `{ 'accepts/s': 1800 }`. */
export type Sample = Readonly<Record<string, number>>;

/** A measurement of ours and of what it is held against, to be made in turn. */
export interface Scenario {
  readonly name: string;
  /** What the baseline is, and what we aim for, in a sentence. */
  readonly about: string;
  /** The figure whose ratio counts, ours divided by the baseline's; higher is better. */
  readonly ratioOf: string;
  /** Figures of which the difference is told as well, ours less the baseline's. */
  readonly addedTo?: readonly string[];
  start(): Promise<{
    ours(): Promise<Sample>;
    baseline(): Promise<Sample>;
    stop(): Promise<void>;
  }>;
}

/** A figure over all rounds. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What a scenario gave. */
export interface Comparison {
  readonly name: string;
  readonly about: string;
  readonly rounds: number;
  readonly ours: Readonly<Record<string, Figure>>;
  readonly baseline: Readonly<Record<string, Figure>>;
  /** Ours divided by the baseline, pair by pair, so that a machine that slows down slows both. */
  readonly ratio: Figure & { readonly of: string };
  /** Ours less the baseline's, pair by pair, of the figures that the scenario names. */
  readonly added: Readonly<Record<string, Figure>>;
}

/** Measures both sides in turn (A B A B …), after one round of each that does not count. */
export async function compare(scenario: Scenario, rounds: number): Promise<Comparison> {
  const sides = await scenario.start();
  try {
    await sides.ours();
    await sides.baseline();
    const pairs: { ours: Sample; baseline: Sample }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      pairs.push({ ours: await sides.ours(), baseline: await sides.baseline() });
    }
    const ratios = pairs.map(({ ours, baseline }) => ratioValue(ours, scenario) / ratioValue(baseline, scenario));
    return {
      name: scenario.name,
      about: scenario.about,
      rounds,
      ours: figures(pairs.map(({ ours }) => ours)),
      baseline: figures(pairs.map(({ baseline }) => baseline)),
      ratio: { of: scenario.ratioOf, ...figure(ratios) },
      added: Object.fromEntries((scenario.addedTo ?? []).map((metric) => [metric, figure(differences(pairs, metric))])),
    };
  } finally {
    await sides.stop();
  }
}

/** A comparison as lines of text. */
export function format({ name, about, rounds, ours, baseline, ratio, added }: Comparison): string {
  const rows = Object.keys({ ...ours, ...baseline }).map((metric) =>
    [metric.padEnd(22), text(ours[metric]), text(baseline[metric])].join('  '),
  );
  return [
    `${name}: ${about}`,
    `${`${rounds} rounds`.padEnd(22)}  ${'ours'.padEnd(34)}  baseline`,
    ...rows,
    `ratio of ${ratio.of}: ${text(ratio)}`,
    ...Object.entries(added).map(([metric, value]) => `added to ${metric}: ${text(value)}`),
  ].join('\n');
}

function ratioValue(sample: Sample, { ratioOf }: Scenario): number {
  const value = sample[ratioOf];
  if (value === undefined) throw new Error(`no ${ratioOf} was measured`);
  return value;
}

function differences(pairs: readonly { ours: Sample; baseline: Sample }[], metric: string): number[] {
  return pairs.map(({ ours, baseline }) => (ours[metric] ?? Number.NaN) - (baseline[metric] ?? Number.NaN));
}

function figures(samples: readonly Sample[]): Record<string, Figure> {
  const metrics = new Set(samples.flatMap((sample) => Object.keys(sample)));
  return Object.fromEntries(
    [...metrics].map((metric) => [metric, figure(samples.map((sample) => sample[metric] ?? 0))]),
  );
}

function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}

function text(value: Figure | undefined): string {
  if (value === undefined) return '–'.padEnd(34);
  const short = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : n.toPrecision(3));
  return `${short(value.median)} (${short(value.min)} – ${short(value.max)})`.padEnd(34);
}
