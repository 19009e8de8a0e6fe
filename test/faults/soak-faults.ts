import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { execPath } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { LAUNCHER } from './server.ts';
import type { SmallDisk } from './small-disk.ts';

/** How long a fault lasts that does not end by itself, in ms. */
const LASTS_MS = 10_000;
const FLOOD = 200;

/** A fault as the soak makes it; resolves when it is over. */
export type Fault = (url: string) => Promise<void>;

/** The command `events`, stopped in its tracks for a while: its connection stays open, and nobody reads. */
export const frozenClient: Fault = async (url) => {
  const child = spawn(execPath, [LAUNCHER, 'events', '--server', url], { stdio: 'ignore' });
  const ended = once(child, 'close');
  await sleep(2000);
  child.kill('SIGSTOP');
  await sleep(LASTS_MS);
  child.kill('SIGCONT');
  await sleep(2000);
  child.kill();
  await ended;
};

/** A client of the event stream that takes nothing off its socket. */
export const slowClient: Fault = async (url) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/events`);
  await once(socket, 'open');
  socket.pause();
  await sleep(LASTS_MS);
  socket.terminate();
};

/** Bodies that are no requests, all at once, each a megabyte. */
export const dataFlood: Fault = async (url) => {
  const body = JSON.stringify({ prompt: 7, noise: 'x'.repeat(1024 * 1024) });
  await Promise.all(
    Array.from({ length: FLOOD }, async () => {
      const answer = await fetch(`${url}/v1/renders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      await answer.arrayBuffer();
      if (answer.status !== 422) throw new Error(`a flood of nonsense was answered ${answer.status}`);
    }),
  );
};

/** No room for images for a while. */
export function diskFull(disk: SmallDisk): Fault {
  return async () => {
    const until = performance.now() + LASTS_MS;
    // Again and again, because the server makes room by giving up old images.
    while (performance.now() < until) {
      await disk.fill();
      await sleep(200);
    }
    await disk.free();
  };
}
