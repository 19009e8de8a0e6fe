import { appendFileSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import { startFalServer } from './fal-server.ts';

/*
 * The fake fal.ai as a process of its own, so that it outlives a server that is killed:
 * `node test/fakes/fal-server-main.ts CALLS.jsonl [LOOKS]`. Prints its address on a line, and adds a line of JSON to the
 * file for each submit and each cancel. A job is done after LOOKS looks at it (default 3); LOOKS 0 means never.
 */
const [, , calls = '', looks = '3'] = argv;
const server = await startFalServer({
  looks: { queued: 1, running: looks === '0' ? Number.POSITIVE_INFINITY : Math.max(0, Number(looks) - 2) },
  onCall: (call) => appendFileSync(calls, `${JSON.stringify(call)}\n`),
});
stdout.write(`${server.url}\n`);
