// npm run test:goldens [-- --dir DIR]
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openCases } from './cases.ts';
import type { Check } from './measure.ts';
import { check, holds } from './measure.ts';
import { checkRandn } from './randn.ts';
import { describeCase, describeTable } from './report.ts';
import { checkSchedulers } from './schedulers.ts';
import { checkTokenizers } from './tokenizers.ts';

const USAGE = 'Usage: npm run test:goldens [-- --dir DIR]';

/** Ends the program: nothing was compared, and whoever called it is to be told why. */
function refuse(reason: string): never {
  process.stderr.write(`${reason}\n${USAGE}\n`);
  process.exit(2);
}

function readDir(): string {
  try {
    const fallback = join(import.meta.dirname, '../fixtures/sdxl-goldens');
    const { values } = parseArgs({ options: { dir: { type: 'string', default: fallback } } });
    // Npm changes to the project's folder, and tells where it was called.
    return resolve(process.env.INIT_CWD ?? '', values.dir);
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
}

const dir = readDir();
const isFolder = await stat(dir).then(
  (found) => found.isDirectory(),
  () => false,
);
if (!isFolder) refuse(`${dir} is no folder.`);

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

const LIST = join('cases', 'cases.json');
if (existsSync(join(dir, LIST))) await checkCases();
else process.stdout.write(`${LIST}: not in this folder\n`);

/** One that cannot be run counts as a failure, and so does a list that cannot be read. */
async function checkCases(): Promise<void> {
  try {
    await using cases = await openCases(dir);
    for (const name of cases.names) {
      const one = await cases.check(name);
      all.push(one);
      process.stdout.write(`${describeCase(one)}\n`);
    }
  } catch (error) {
    const list = await check(LIST, () => Promise.reject(error));
    all.push(list);
    process.stdout.write(`${describeCase(list)}\n`);
  }
}

const passed = all.filter(holds).length;
process.stdout.write(`\n${passed} passed, ${all.length - passed} failed\n`);
if (passed === 0 || passed < all.length) process.exitCode = 1;
