/** One line of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = `${NAME}="(?:[^"\\\\\\n]|\\\\["\\\\n])*"`;
// Numbers are read as Go reads them, in any case: prom-client writes "Nan".
const LINE = new RegExp(
  `^(${NAME})(?:\\{((?:${LABEL})(?:,${LABEL})*)?\\})? (nan|[+-]Inf|-?[0-9.]+(?:e[+-]?\\d+)?)$`,
  'i',
);
const TYPES = ['counter', 'gauge', 'histogram', 'summary'];

/** Reads a Prometheus text exposition; throws at anything that Prometheus would not take, or only by accident. */
export function parseExposition(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const types = new Map<string, string>();
  const series = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const [, kind, metric = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'TYPE') {
      if (!TYPES.includes(rest) || types.has(metric)) throw new Error(`bad type: ${line}`);
      types.set(metric, rest);
    } else if (kind === undefined && line !== '') {
      const sample = parseLine(line);
      const id = line.slice(0, line.lastIndexOf(' '));
      if (series.has(id)) throw new Error(`twice: ${id}`);
      series.add(id);
      if (!types.has(sample.name) && !types.has(sample.name.replace(/_(bucket|sum|count)$/, '')))
        throw new Error(`no type: ${line}`);
      samples.push(sample);
    }
  }
  return samples;
}

/** The value of the one series with these labels, whatever other labels it has; undefined when there is none. */
export function sampleOf(samples: readonly Sample[], name: string, labels: Record<string, string> = {}) {
  const found = samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length > 1) throw new Error(`${found.length} series of ${name}`);
  return found[0]?.value;
}

function parseLine(line: string): Sample {
  const [, name, labels = '', value = ''] = LINE.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a sample: ${line}`);
  const pairs = [...labels.matchAll(new RegExp(`(${NAME})="((?:[^"\\\\]|\\\\.)*)"`, 'g'))];
  return { name, labels: Object.fromEntries(pairs.map(([, key, text]) => [key, text])), value: toNumber(value) };
}

function toNumber(value: string): number {
  if (value.endsWith('Inf')) return value.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(value);
}
