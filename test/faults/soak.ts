// npm run test:soak -- [--minutes 5] [--rate 4] [--seed TEXT]
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { call } from './caller.ts';
import type { Campaign, RunningServer } from './campaign.ts';
import { createCampaign } from './campaign.ts';
import type { Evidence } from './checks/check.ts';
import { runChecks } from './checks/run-checks.ts';
import { describeEnds, readJournalFile } from './journal-file.ts';
import { createRandom } from './random.ts';
import type { Sample } from './samples.ts';
import { describeGrowth, takeSample } from './samples.ts';
import type { SmallDisk } from './small-disk.ts';
import { mountSmallDisk } from './small-disk.ts';
import type { Fault } from './soak-faults.ts';
import { dataFlood, diskFull, frozenClient, slowClient } from './soak-faults.ts';

const CRASH_ATTEMPTS = 2;
/** The default of `[generator] retries`. */
const RETRIES = 3;
const MINUTE_MS = 60_000;
/** The fault of a minute comes after this part of it, so that the server is measured in peace as well. */
const FAULT_AT_MS = 20_000;
const DISK_MB = 256;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    rate: { type: 'string', default: '4' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
  },
});
const minutes = Number(values.minutes);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(`${minutes} minutes, ${values.rate} renders a second; faults of the seed ${values.seed}\n`);

const dir = await mkdtemp(join(tmpdir(), 'image-server-soak-'));
const imagesDir = join(dir, 'images');
const disk = await mountSmallDisk(imagesDir, DISK_MB);
if ('reason' in disk) print(`no full disk: a small one cannot be mounted here (${disk.reason})`);
let failed: number;
try {
  const evidence = await gather();
  const { passed, failed: broken } = await runChecks(evidence, print);
  print(`\n${passed} passed, ${broken} failed`);
  failed = broken;
} finally {
  if ('remove' in disk) disk.remove();
  await rm(dir, { recursive: true });
}
process.exitCode = failed === 0 ? 0 : 1;

/** Renders all the time, with a fault a minute; then collects what everybody knows. */
async function gather(): Promise<Evidence> {
  await using campaign = createCampaign({
    dir,
    args: [
      ...['--mock.style', 'placeholder', '--mock.concurrency', '2'],
      ...['--generator.crash_attempts', String(CRASH_ATTEMPTS)],
      // Small enough that files are given up all the time.
      ...['--max_cache_size_gb', '0.02', '--cache.pin_s', '5'],
    ],
    env: {},
    // A full disk is told of in the log, as it should be.
    expected: ['storage_full'],
  });
  const samples: Sample[] = [];
  const soak = { campaign, samples, running: await campaign.start(), over: false, startedAt: performance.now() };
  await Promise.all([submitAll(soak), sampleAll(soak), faultAll(soak, disk)]);
  soak.running.server.signal('SIGTERM');
  await campaign.ended(soak.running.server, 0);
  await campaign.end();

  const journal = readJournalFile(join(dir, 'data', 'journal.db'));
  print(`\n${describeEnds(journal)}`);
  print(`the longest process: ${describeGrowth(samples)}`);
  print(`ready after ${campaign.readyAfterMs.map(Math.round).join(', ')} ms\n`);
  const { ledger, troubles, watcher } = campaign;
  return {
    ...{ ledger, troubles, journal, imagesDir, crashAttempts: CRASH_ATTEMPTS, retries: RETRIES },
    connections: watcher.connections,
    upstream: [],
  };
}

/** What goes on at the same time. */
interface Soak {
  readonly campaign: Campaign;
  readonly samples: Sample[];
  readonly startedAt: number;
  running: RunningServer;
  over: boolean;
}

/** A new request at each tick, whatever has become of those before. */
async function submitAll(soak: Soak): Promise<void> {
  const calls: Promise<void>[] = [];
  for (let count = 0; !soak.over; count += 1) {
    const id = `s${count}`;
    const own = { request_id: id, prompt: `${id}: dunes`, width: 256, height: 256, metadata: { id } };
    const request = { id, own, other: { ...own, prompt: `${id}: another one` }, clears: false };
    const step = { kind: 'submit', variant: 'own', atMs: 0, request } as const;
    calls.push(call(soak.running.url, step, soak.campaign.ledger, ['storage_full']));
    await sleep(1000 / Number(values.rate));
  }
  await Promise.all(calls);
}

async function sampleAll(soak: Soak): Promise<void> {
  while (!soak.over) {
    const sample = await takeSample(soak.running.server.pid, (performance.now() - soak.startedAt) / 1000);
    if (sample !== undefined) soak.samples.push(sample);
    await sleep(1000);
  }
}

async function faultAll(soak: Soak, small: SmallDisk | { reason: string }): Promise<void> {
  const random = createRandom(values.seed);
  const faults: [string, Fault][] = [
    ['a client that is stopped', frozenClient],
    ['a client that does not read', slowClient],
    ['a flood of data', dataFlood],
    ...('fill' in small ? [['a full disk', diskFull(small)] satisfies [string, Fault]] : []),
  ];
  for (let minute = 0; minute < minutes; minute += 1) {
    const minuteAt = soak.startedAt + minute * MINUTE_MS;
    await sleep(Math.max(0, minuteAt + FAULT_AT_MS - performance.now()));
    const [name, fault] = random.pick([['kill -9', () => killAndStart(soak)], ...faults]);
    print(`${String(Math.round((performance.now() - soak.startedAt) / 1000)).padStart(6)} s  ${name}`);
    await fault(soak.running.url);
    await sleep(Math.max(0, minuteAt + MINUTE_MS - performance.now()));
  }
  soak.over = true;
}

async function killAndStart(soak: Soak): Promise<void> {
  soak.running.server.signal('SIGKILL');
  await soak.campaign.ended(soak.running.server, 'SIGKILL');
  soak.running = await soak.campaign.start();
}
