import { setTimeout as sleep } from 'node:timers/promises';
import { call } from './caller.ts';
import type { Ledger } from './ledger.ts';
import { createLedger } from './ledger.ts';
import type { PlannedRequest, Round, Step } from './plan.ts';
import type { LogLine, Server, ServerOptions } from './server.ts';
import { startServer } from './server.ts';
import type { Watcher } from './watcher.ts';
import { createWatcher } from './watcher.ts';

/** Levels of log lines that say of trouble, in pino's numbers. */
const ERROR_LEVEL = 50;
/** How many callers wait for their renders at the end at once. */
const AT_ONCE = 16;

/** A server's data through many starts and kills, and what callers and clients saw of it. */
export interface Campaign {
  readonly ledger: Ledger;
  readonly watcher: Watcher;
  readonly troubles: readonly string[];
  /** How long each start took until the server was ready, in ms. */
  readonly readyAfterMs: readonly number[];
  /** Starts the server, makes the round's calls, and kills it in the middle. */
  run(round: Round): Promise<void>;
  /** Starts it once more, waits for the end of everything, asks again for what is known, and stops it in peace. */
  end(): Promise<void>;
}

/** A campaign in the folder of `options`. */
export function createCampaign(options: ServerOptions): Campaign {
  const ledger = createLedger();
  const watcher = createWatcher();
  const troubles: string[] = [];
  const readyAfterMs: number[] = [];

  async function ready(server: Server): Promise<string> {
    const { url, afterMs } = await server.ready;
    readyAfterMs.push(afterMs);
    await watcher.connect(url);
    return url;
  }

  async function ended(server: Server, wanted: number | NodeJS.Signals): Promise<void> {
    const how = await server.ended;
    if (how !== wanted) troubles.push(`a server ended with ${how}`);
    troubles.push(...server.lines.filter(isTrouble).map(({ msg, err }) => `${msg}: ${JSON.stringify(err)}`));
  }

  return {
    ledger,
    watcher,
    troubles,
    readyAfterMs,

    async run({ killsStart, killMs, steps }) {
      const server = startServer(options);
      const calls: Promise<void>[] = [];
      if (!killsStart) {
        const url = await ready(server);
        const zero = performance.now();
        for (const step of steps) {
          await until(zero + step.atMs);
          calls.push(call(url, step, ledger));
        }
        await until(zero + killMs);
      } else await sleep(killMs);
      server.signal('SIGKILL');
      await Promise.all([...calls, ended(server, 'SIGKILL')]);
    },

    async end() {
      const server = startServer(options);
      const url = await ready(server);
      const requests = [...ledger.accounts.values()].map(({ request }) => request);
      for (let at = 0; at < requests.length; at += AT_ONCE) {
        await Promise.all(requests.slice(at, at + AT_ONCE).map((request) => settle(url, request)));
      }
      server.signal('SIGTERM');
      await ended(server, 0);
    },
  };

  /** Waits for a render's end, then sends both its bodies again; one that is new is waited for as well. */
  async function settle(url: string, request: PlannedRequest): Promise<void> {
    const step = (kind: 'wait'): Step => ({ kind, atMs: 0, request });
    await waitFor(url, step('wait'));
    for (const variant of ['own', 'other'] as const) {
      await call(url, { kind: 'submit', variant, atMs: 0, request }, ledger);
    }
    await waitFor(url, step('wait'));
  }

  async function waitFor(url: string, step: Step): Promise<void> {
    const account = ledger.of(step.request);
    const before = account.ends.length;
    // Each look waits for half a minute; a render that never ends fails a check.
    for (let looks = 0; looks < 4 && account.ends.length === before; looks += 1) {
      await call(url, step, ledger);
      if (account.accepted.length === 0) return;
    }
  }
}

async function until(time: number): Promise<void> {
  await sleep(Math.max(0, time - performance.now()));
}

function isTrouble({ level }: LogLine): boolean {
  return typeof level === 'number' ? level >= ERROR_LEVEL : ['error', 'fatal'].includes(level);
}
