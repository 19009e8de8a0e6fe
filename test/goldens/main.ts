// npm run test:goldens [-- --dir DIR]
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openCases } from './cases.ts';
import type { Check } from './measure.ts';
import { check, holds } from './measure.ts';
import { checkRandn } from './randn.ts';
import { describeCase, describeTable } from './report.ts';
import { checkSchedulers } from './schedulers.ts';
import { checkTokenizers } from './tokenizers.ts';

const { values } = parseArgs({
  options: { dir: { type: 'string', default: join(import.meta.dirname, '../fixtures/sdxl-goldens') } },
});
const dir = resolve(values.dir);

/** A folder may lack a table; one that cannot be read counts as a failure. */
const TABLES: Readonly<Record<string, (dir: string) => Promise<Check[]>>> = {
  'schedulers.json': checkSchedulers,
  'tokenizer.json': checkTokenizers,
  'randn.json': checkRandn,
};

const all: Check[] = [];

for (const [file, checkTable] of Object.entries(TABLES)) {
  if (!existsSync(join(dir, file))) {
    process.stdout.write(`${file}: not in this folder\n`);
    continue;
  }
  let checks: Check[];
  try {
    checks = await checkTable(dir);
  } catch (error) {
    checks = [await check(file, () => Promise.reject(error))];
  }
  all.push(...checks);
  process.stdout.write(`${describeTable(file, checks)}\n`);
}

if (existsSync(join(dir, 'cases', 'cases.json'))) {
  await using cases = await openCases(dir);
  for (const name of cases.names) {
    const one = await cases.check(name);
    all.push(one);
    process.stdout.write(`${describeCase(one)}\n`);
  }
}

const passed = all.filter(holds).length;
process.stdout.write(`\n${passed} passed, ${all.length - passed} failed\n`);
if (passed === 0 || passed < all.length) process.exitCode = 1;
