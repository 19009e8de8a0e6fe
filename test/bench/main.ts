// npm run bench [-- accepts hits journal renders bus recovery remote-256 remote-1024 sdxl] [--rounds 5] [--seconds 3] [--json FILE]
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { acceptsScenario, hitsScenario } from './accepts.ts';
import { busScenario } from './bus.ts';
import type { Comparison } from './compare.ts';
import { compare, format } from './compare.ts';
import { journalScenario } from './journal.ts';
import { recoveryScenario } from './recovery.ts';
import { remoteScenario } from './remote.ts';
import { rendersScenario } from './renders.ts';
import { sdxlScenario } from './sdxl.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const scenarios = [
  acceptsScenario(seconds),
  hitsScenario(seconds),
  journalScenario(),
  rendersScenario(),
  busScenario(),
  recoveryScenario(),
  remoteScenario({ side: 256, perSecond: 100, seconds, aim: 'p50 added < 3 ms, p99 added < 15 ms' }),
  remoteScenario({ side: 1024, perSecond: 10, seconds, aim: 'none: decoding and encoding alone take longer' }),
  sdxlScenario(),
];
const unknown = positionals.filter((name) => !scenarios.some((scenario) => scenario.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `no scenario ${unknown.join(', ')}; there are ${scenarios.map(({ name }) => name).join(', ')}\n`,
  );
  process.exit(2);
}

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
process.stdout.write(`Node ${machine.node}, ${machine.cores} cores, ${machine.cpu}\n\n`);
const results: Comparison[] = [];
for (const scenario of scenarios) {
  if (positionals.length > 0 && !positionals.includes(scenario.name)) continue;
  const result = await compare(scenario, Number(values.rounds));
  results.push(result);
  process.stdout.write(`${format(result)}\n\n`);
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
