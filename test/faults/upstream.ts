import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const MAIN = join(import.meta.dirname, '..', 'fakes', 'fal-server-main.ts');
const call = z
  .object({ call: z.enum(['submit', 'cancel']), id: z.string(), endpoint: z.string(), prompt: z.string() })
  // The server needs both to ask for a job again, and notes them so.
  .transform(({ id, endpoint, ...rest }) => ({ ...rest, id: `${endpoint}#${id}` }));

/** A call as the fake provider noted it. */
export type UpstreamCall = z.infer<typeof call>;

/** The fake provider: a process that outlives the server and notes what it is asked for. */
export interface Upstream extends AsyncDisposable {
  /** Flags and environment with which the server reaches it. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  calls(): Promise<UpstreamCall[]>;
}

/** Starts it; its log lies in `dir`. */
export async function startUpstream(dir: string): Promise<Upstream> {
  const log = join(dir, 'upstream.jsonl');
  await writeFile(log, '');
  const child = spawn(execPath, [MAIN, log, '4'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [url] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    args: ['--fal.base_url', String(url), '--fal.upload_url', String(url), '--fal.poll_s', '0.05'],
    env: { FAL_KEY: 'fake-id:fake-secret' },
    async calls() {
      const text = await readFile(log, 'utf8');
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => call.parse(JSON.parse(line)));
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'close');
    },
  };
}
