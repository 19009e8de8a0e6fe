import { setTimeout as sleep } from 'node:timers/promises';
import { call } from './caller.ts';
import type { Ledger } from './ledger.ts';
import { createLedger } from './ledger.ts';
import type { PlannedRequest, Round } from './plan.ts';
import type { LogLine, Server, ServerOptions } from './server.ts';
import { startServer } from './server.ts';
import type { Watcher } from './watcher.ts';
import { createWatcher } from './watcher.ts';

/** Levels of log lines that say of trouble, in pino's numbers. */
const ERROR_LEVEL = 50;
/** How many callers wait for their renders at the end at once. */
const AT_ONCE = 16;

/** A server that answers. */
export interface RunningServer {
  readonly server: Server;
  readonly url: string;
}

/** A server's data through many starts and kills, and what callers and clients saw of it. */
export interface Campaign extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly watcher: Watcher;
  readonly troubles: readonly string[];
  /** How long each start took until the server was ready, in ms. */
  readonly readyAfterMs: readonly number[];
  /** Starts the server; resolves when it is ready and a client listens. */
  start(): Promise<RunningServer>;
  /** Waits until a server has ended, which must be in the way that is wanted. */
  ended(server: Server, wanted: number | NodeJS.Signals): Promise<void>;
  /** Starts the server, makes the round's calls, and kills it in the middle. */
  run(round: Round): Promise<void>;
  /** Starts it once more, waits for the end of everything, asks again for what is known, and stops it in peace. */
  end(): Promise<void>;
}

/** Options of `createCampaign`. */
export interface CampaignOptions extends ServerOptions {
  /** Codes of errors that the server may log. */
  readonly expected?: readonly string[];
}

/** A campaign in the folder of `options`. */
export function createCampaign(options: CampaignOptions): Campaign {
  const ledger = createLedger();
  const watcher = createWatcher();
  const troubles: string[] = [];
  const readyAfterMs: number[] = [];

  let last: Server | undefined;

  function begin(): Server {
    last = startServer(options);
    return last;
  }

  async function start(): Promise<RunningServer> {
    const server = begin();
    const { url, afterMs } = await server.ready;
    readyAfterMs.push(afterMs);
    await watcher.connect(url);
    return { server, url };
  }

  async function ended(server: Server, wanted: number | NodeJS.Signals): Promise<void> {
    const how = await server.ended;
    if (how !== wanted) troubles.push(`a server ended with ${how}`);
    const lines = server.lines.filter(isTrouble).map((line) => JSON.stringify(line));
    troubles.push(...lines.filter((line) => !options.expected?.some((code) => line.includes(code))));
  }

  return {
    ledger,
    watcher,
    troubles,
    readyAfterMs,

    start,
    ended,

    async run(round) {
      const { server, calls } = await (round.killsStart ? cutOff(round) : work(round));
      server.signal('SIGKILL');
      await Promise.all([...calls, ended(server, 'SIGKILL')]);
    },

    async end() {
      const { server, url } = await start();
      await call(url, { kind: 'resume', atMs: 0 }, ledger);
      const requests = [...ledger.accounts.values()].map(({ request }) => request);
      for (let at = 0; at < requests.length; at += AT_ONCE) {
        await Promise.all(requests.slice(at, at + AT_ONCE).map((request) => settle(url, request)));
      }
      server.signal('SIGTERM');
      await ended(server, 0);
    },

    /** Whatever has gone wrong: nothing is left running. */
    async [Symbol.asyncDispose]() {
      last?.signal('SIGKILL');
      await last?.ended;
    },
  };

  async function cutOff({ killMs }: Round): Promise<{ server: Server; calls: Promise<void>[] }> {
    const server = begin();
    await sleep(killMs);
    return { server, calls: [] };
  }

  async function work({ killMs, steps }: Round): Promise<{ server: Server; calls: Promise<void>[] }> {
    const { server, url } = await start();
    const zero = performance.now();
    const calls: Promise<void>[] = [];
    for (const step of steps) {
      await until(zero + step.atMs);
      calls.push(call(url, step, ledger));
    }
    await until(zero + killMs);
    return { server, calls };
  }

  /** Waits for a render's end, then sends both its bodies again; one that is new is waited for as well. */
  async function settle(url: string, request: PlannedRequest): Promise<void> {
    await waitFor(url, request);
    for (const variant of ['own', 'other'] as const) {
      await call(url, { kind: 'submit', variant, atMs: 0, request }, ledger);
    }
    await waitFor(url, request);
  }

  async function waitFor(url: string, request: PlannedRequest): Promise<void> {
    const account = ledger.of(request);
    const before = account.ends.length;
    // Each look waits for half a minute; a render that never ends fails a check.
    for (let looks = 0; looks < 4 && account.ends.length === before; looks += 1) {
      await call(url, { kind: 'wait', atMs: 0, request }, ledger);
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
