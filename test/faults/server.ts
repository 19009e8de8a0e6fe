import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { z } from 'zod';

/** The program as it is started by hand. */
export const LAUNCHER = join(import.meta.dirname, '..', '..', 'bin', 'image-server.cjs');

const logLine = z.looseObject({
  level: z.union([z.string(), z.number()]),
  msg: z.string().optional(),
  url: z.string().optional(),
});

/** A line that the server logged. */
export type LogLine = z.infer<typeof logLine>;

/** Where and how a server runs. */
export interface ServerOptions {
  readonly dir: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The real server as a process. */
export interface Server {
  readonly pid: number;
  /** Its address, once it is ready. Rejects when it ends before. */
  readonly ready: Promise<{ readonly url: string; readonly afterMs: number }>;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly lines: readonly LogLine[];
  signal(signal: NodeJS.Signals): void;
}

/** Starts the server in its folder, on a free port and without the bus. */
export function startServer({ dir, args, env }: ServerOptions): Server {
  const startedAt = performance.now();
  const fixed = ['--http.port', '0', '--http.drain_s', '10', '--bus.enabled', 'false'];
  const child = spawn(execPath, [LAUNCHER, 'serve', ...fixed, ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH ?? '', HOME: dir, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: LogLine[] = [];
  const { promise: ready, resolve, reject } = Promise.withResolvers<{ url: string; afterMs: number }>();
  // A server that is killed while it starts is never ready, and nobody may be waiting for it.
  ready.catch(() => undefined);
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = logLine.safeParse(text.startsWith('{') ? JSON.parse(text) : undefined).data;
    if (line === undefined) return;
    lines.push(line);
    if (line.msg === 'the server is ready') resolve({ url: line.url ?? '', afterMs: performance.now() - startedAt });
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    reject(new Error(`the server ended with ${code ?? signal} before it was ready`));
    return code ?? signal;
  });
  return { pid: child.pid ?? 0, ready, ended, lines, signal: (signal) => void child.kill(signal) };
}
