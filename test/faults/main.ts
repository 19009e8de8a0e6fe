// npm run test:faults -- [--kills 50] [--seed TEXT] [--keep]
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createCampaign } from './campaign.ts';
import type { Evidence } from './checks/check.ts';
import { runChecks } from './checks/run-checks.ts';
import { describeEnds, readJournalFile } from './journal-file.ts';
import { createPlan } from './plan.ts';
import { createRandom } from './random.ts';
import { startUpstream } from './upstream.ts';

const CRASH_ATTEMPTS = 2;
const RETRIES = 1;
/** What the log may say of the provider's troubles, and of renders whose time is over. */
const EXPECTED = [
  ...['upstream_rate_limited', 'upstream_failed', 'content_rejected', 'generator_unavailable', 'render_timeout'],
  ...['generator_failed', 'outcome_unknown'],
];
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    keep: { type: 'boolean', default: false },
  },
});
const kills = Number(values.kills);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(`${kills} kills; the same again: npm run test:faults -- --kills ${kills} --seed ${values.seed}\n`);

const dir = await mkdtemp(join(tmpdir(), 'image-server-faults-'));
const evidence = await gather();
print(`${describeEnds(evidence.journal)}, ${evidence.journal.events.length} events`);
print(`${evidence.ledger.answered} calls answered, ${evidence.ledger.lost} lost with the server\n`);

const { passed, failed } = await runChecks(evidence, print);
if (failed > 0 || values.keep) print(`\njournal, images and the provider's log are in ${dir}`);
else await rm(dir, { recursive: true });
print(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Kills the server as often as it was asked for, lets it finish, and collects what everybody knows. */
async function gather(): Promise<Evidence> {
  await using upstream = await startUpstream(dir);
  await using campaign = createCampaign({
    dir,
    args: [
      ...upstream.args,
      ...['--mock.style', 'placeholder', '--mock.delay_s', '0.15', '--mock.concurrency', '2'],
      ...['--generator.crash_attempts', String(CRASH_ATTEMPTS), '--generator.retries', String(RETRIES)],
      ...['--generator.fallback', 'mock,nearest'],
    ],
    env: upstream.env,
    expected: EXPECTED,
  });
  const nextRound = createPlan(createRandom(values.seed));
  for (let kill = 0; kill < kills; kill += 1) await campaign.run(nextRound());
  await campaign.end();

  const sorted = campaign.readyAfterMs.toSorted((a, b) => a - b).map(Math.round);
  print(`ready after ${sorted[sorted.length >> 1]} ms (median of ${sorted.length}), ${sorted.at(-1)} ms at most`);
  return {
    ledger: campaign.ledger,
    troubles: campaign.troubles,
    connections: campaign.watcher.connections,
    crashAttempts: CRASH_ATTEMPTS,
    retries: RETRIES,
    upstream: await upstream.calls(),
    journal: readJournalFile(join(dir, 'data', 'journal.db')),
    imagesDir: join(dir, 'images'),
  };
}
