import { ANSWER_CHECKS } from './answers.ts';
import type { Evidence } from './check.ts';
import { EVENT_CHECKS } from './events.ts';
import { FILE_CHECKS } from './files.ts';
import { WORK_CHECKS } from './work.ts';

/** Violations that are printed of each check. */
const SHOWN = 5;

/** Runs every check, prints what it found, and counts. */
export async function runChecks(
  evidence: Evidence,
  print: (line: string) => void,
): Promise<{ passed: number; failed: number }> {
  let failed = 0;
  const checks = [...ANSWER_CHECKS, ...EVENT_CHECKS, ...WORK_CHECKS, ...FILE_CHECKS];
  for (const check of checks) {
    const violations = await check.violations(evidence);
    print(`${violations.length === 0 ? '    ok' : 'FAILED'}  ${check.name}`);
    for (const violation of violations.slice(0, SHOWN)) print(`        ${violation}`);
    if (violations.length > SHOWN) print(`        and ${violations.length - SHOWN} more`);
    if (violations.length > 0) failed += 1;
  }
  return { passed: checks.length - failed, failed };
}
