// A core in a process of its own, to be killed and stopped: node core-child.ts REQUESTS RESULTS [MS_PER_MESSAGE]
// Sends each line of stdin as a request; prints each result as a line, and `{"ready":true}` when it listens.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCorePeer } from './core-peer.ts';

const [requests = '', results = '', pace = '0'] = process.argv.slice(2);
const peer = await startCorePeer({ requests, results });
process.stdout.write('{"ready":true}\n');
createInterface({ input: process.stdin }).on('line', (line) => void peer.send(line));
for (;;) {
  const message = await peer.next();
  process.stdout.write(`${JSON.stringify(message)}\n`);
  await sleep(Number(pace));
}
