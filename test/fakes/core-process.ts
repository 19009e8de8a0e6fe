import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PeerMessage } from './core-peer.ts';

/** A core that can die and hang. */
export interface CoreProcess {
  readonly received: readonly PeerMessage[];
  send(request: string): void;
  /** The first message, old or new, that matches; rejects when the process ends without one. */
  until(matches: (message: PeerMessage) => boolean): Promise<PeerMessage>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: the kernel goes on taking its connections and bytes. */
  hang(): void;
  /** SIGCONT. */
  wake(): void;
}

/** Starts a core on the given addresses, in a process of its own; `paceMs` is how long it takes over each message. */
export async function startCoreProcess(
  { requests, results }: { requests: string; results: string },
  paceMs = 0,
): Promise<CoreProcess> {
  const main = fileURLToPath(new URL('./core-child.ts', import.meta.url));
  const child = spawn(process.execPath, [main, requests, results, String(paceMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const received: PeerMessage[] = [];
  const watchers = new Set<() => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    received.push(JSON.parse(line));
    for (const watch of watchers) watch();
  });
  const until: CoreProcess['until'] = (matches) =>
    new Promise((resolve, reject) => {
      const watch = () => {
        const found = received.find(matches);
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      void ended.then(([code, signal]) => reject(new Error(`the core ended with ${code ?? signal}`)));
      watch();
    });
  await until(({ ready }) => ready === true);
  return {
    received,
    send: (request) => void child.stdin.write(`${request}\n`),
    until,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    hang: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
  };
}
