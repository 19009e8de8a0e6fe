import { appendFileSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import type { FalServerOptions } from './fal-server.ts';
import { startFalServer } from './fal-server.ts';
import { json } from './scripted-upstream.ts';

/*
 * The fake fal.ai as a process of its own, so that it outlives a server that is killed:
 * `node test/fakes/fal-server-main.ts CALLS.jsonl [LOOKS]`. Prints its address on a line, and adds a line of JSON to the
 * file for each submit and each cancel of a job. A job is done after LOOKS looks at it (default 3); LOOKS 0 means never.
 * A word in brackets in the prompt asks for trouble.
 */
const [, , calls = '', looks = '3'] = argv;

/** What becomes of a prompt with such a word; `busy` and `shaky` come to something at the second try. */
const TROUBLES: Readonly<Record<string, FalServerOptions['refuse']>> = {
  busy: (call, _, earlier) =>
    call === 'submit' && earlier === 0 ? json({ detail: 'Too many requests' }, 429) : undefined,
  shaky: (call, _, earlier) => (call === 'submit' && earlier === 0 ? json({ detail: 'Try again' }, 503) : undefined),
  down: (call) => (call === 'submit' ? json({ detail: 'No runner' }, 503) : undefined),
  broken: (call) => (call === 'result' ? json({ detail: 'No.', error_type: 'runner_error' }, 422) : undefined),
  refused: (call) =>
    call === 'submit' ? json({ detail: [{ type: 'content_policy_violation', msg: 'No.' }] }, 422) : undefined,
};

const server = await startFalServer({
  looks: { queued: 1, running: looks === '0' ? Number.POSITIVE_INFINITY : Math.max(0, Number(looks) - 2) },
  refuse(call, prompt, earlier) {
    const word = /\((\w+)\)/.exec(String(prompt))?.[1] ?? '';
    return TROUBLES[word]?.(call, prompt, earlier);
  },
  onCall: (call) => appendFileSync(calls, `${JSON.stringify(call)}\n`),
});
stdout.write(`${server.url}\n`);
