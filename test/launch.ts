import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

/** The program as it is started by hand: the launcher, run by this Node. */
const LAUNCHER = join(import.meta.dirname, '..', 'bin', 'image-server.cjs');

/** A running `image-server`. */
export interface Launched {
  readonly child: ChildProcessWithoutNullStreams;
  /** Its log lines so far, as objects. */
  readonly lines: Record<string, unknown>[];
  readonly stderr: () => string;
  /** Resolves with the first line, old or new, with this message; rejects when the process ends without one. */
  line(message: string): Promise<Record<string, unknown>>;
  /** Resolves with the exit code, or the signal's name, once the process has ended. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** Starts the launcher in a folder; it is killed after the test if it still runs. */
export function launch(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
  command: readonly [string, ...string[]] = [execPath, LAUNCHER],
): Launched {
  const [program, ...first] = command;
  const child = spawn(program, [...first, ...args], { cwd, env: { PATH: process.env.PATH ?? '', HOME: cwd, ...env } });
  const lines: Record<string, unknown>[] = [];
  const watchers = new Set<() => void>();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (text) => {
    lines.push(text.startsWith('{') ? JSON.parse(text) : { msg: text });
    for (const watch of watchers) watch();
  });
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const line: Launched['line'] = (message) =>
    new Promise((resolve, reject) => {
      const watch = () => {
        const found = lines.find(({ msg }) => msg === message);
        if (found !== undefined) resolve(found);
      };
      watchers.add(watch);
      void ended.then((code) => reject(new Error(`it ended with ${code} before "${message}": ${stderr}`)));
      watch();
    });
  return { child, lines, stderr: () => stderr, line, ended };
}

/** Serves on a free port without the bus; resolves with its address when it is ready. */
export async function launchServer(cwd: string, ...args: string[]): Promise<Launched & { url: string }> {
  const launched = launch(cwd, ['serve', '--http.port', '0', '--bus.enabled', 'false', ...args]);
  const { url } = await launched.line('the server is ready');
  return { ...launched, url: String(url) };
}
