import type { Check, Measure } from './measure.ts';
import { holds } from './measure.ts';

/** Prints a table's checks: the worst of each tensor over all of them, then every one that does not hold. */
export function describeTable(title: string, checks: readonly Check[]): string {
  const held = checks.filter(holds).length;
  const lines = [`${title}: ${held} of ${checks.length}`, ...worstPerTensor(checks).map(line)];
  for (const one of checks) if (!holds(one)) lines.push(...describeFailure(one));
  return lines.join('\n');
}

/** Prints one case: each of its tensors. */
export function describeCase(one: Check): string {
  const lines = [`${holds(one) ? 'passed' : 'FAILED'}  ${one.name}`, ...one.measures.map(line)];
  if (one.error !== undefined) lines.push(`  ${one.error}`);
  return lines.join('\n');
}

function describeFailure(one: Check): string[] {
  const beyond = one.measures.filter(({ worst, hold }) => !(worst <= hold)).map(line);
  return [`  FAILED  ${one.name}`, ...beyond, ...(one.error === undefined ? [] : [`  ${one.error}`])];
}

function worstPerTensor(checks: readonly Check[]): Measure[] {
  const worst = new Map<string, Measure>();
  for (const measure of checks.flatMap(({ measures }) => measures)) {
    const before = worst.get(measure.tensor);
    // By share of what is allowed: tensors of one name may have different bounds.
    if (before === undefined || !(share(measure) <= share(before))) worst.set(measure.tensor, measure);
  }
  return [...worst.values()];
}

function share({ worst, hold }: Measure): number {
  return hold === 0 ? worst * Number.MAX_VALUE : worst / hold;
}

function line({ tensor, worst, hold }: Measure): string {
  const mark = worst <= hold ? ' ' : '!';
  return `${mark}   ${tensor.padEnd(40)} ${worst === 0 ? '0' : worst.toExponential(1)}  (at most ${hold === 0 ? '0' : hold.toExponential(1)})`;
}
