import { openSqliteJournal } from '../../../src/render/sqlite/journal.ts';

// A process of its own that opens a journal, says how that went in one line, and holds it until it is killed.
const [, , dir = ''] = process.argv;
try {
  await openSqliteJournal({ dir, onFatal: () => process.exit(1) });
  process.stdout.write('open\n');
} catch (error) {
  process.stdout.write(`${error instanceof Error && 'code' in error ? error.code : error}\n`);
  process.exit(0);
}
