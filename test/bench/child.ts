import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Histogram } from 'node:perf_hooks';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

/** As the launcher starts the server, and so for both sides: threads and fonts decide how long an image takes. */
const LAUNCHED = {
  UV_THREADPOOL_SIZE: '16',
  FONTCONFIG_FILE: fileURLToPath(new URL('../../assets/fonts/fonts.conf', import.meta.url)),
};

/** The flag of `npm start`, for both sides as well. */
const YOUNG = ['--max-semi-space-size=64'];

/** How long the child's event loop was held up, and what its work took. */
export interface Measured {
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** CPU of all its threads: other than time on a clock, it hardly depends on what else the machine does. */
  readonly cpuMs: number;
}

/** A side of a scenario in a process of its own, so that measuring it does not slow it. */
export interface Child<R> {
  /** What it said when it was ready. */
  readonly ready: { readonly url?: string };
  /** Has it do its work, or be measured while somebody else loads it until `done`. */
  measure(done?: () => Promise<unknown>): Promise<R & Measured>;
  stop(): Promise<void>;
}

/** Starts `test/bench/children/<name>.ts` with these arguments. */
export async function startChild<R>(name: string, ...args: string[]): Promise<Child<R>> {
  const child = fork(new URL(`./children/${name}.ts`, import.meta.url), args, {
    serialization: 'advanced',
    execArgv: YOUNG,
    env: { ...LAUNCHED, ...process.env },
  });
  const ended = once(child, 'exit');

  /** What it says next. Rejects when it ends instead: nobody else would tell. */
  async function answer() {
    const [message] = await Promise.race([
      once(child, 'message'),
      ended.then(([code, signal]) => {
        throw new Error(`${name} has ended with ${code ?? signal} in the middle of its work`);
      }),
    ]);
    return message;
  }

  return {
    ready: await answer(),
    async measure(done = async () => undefined) {
      child.send('begin');
      await done();
      child.send('end');
      return await answer();
    },
    async stop() {
      if (child.connected) child.send('stop');
      await ended;
    },
  };
}

/** What a child does, from its own side. */
export interface ChildWork {
  readonly url?: string;
  /** Runs between the beginning and the end of a measurement. */
  work?(): Promise<object>;
  stop(): Promise<void>;
}

/** Serves the parent's messages. */
export function runChild({ url, work, stop }: ChildWork): void {
  let cpu = process.cpuUsage();
  let delays: Histogram & { enable(): boolean; disable(): boolean };
  let working: Promise<object> = Promise.resolve({});
  process.on('message', async (message) => {
    if (message === 'begin') {
      delays = monitorEventLoopDelay({ resolution: 1 });
      delays.enable();
      cpu = process.cpuUsage();
      working = work?.() ?? Promise.resolve({});
    } else if (message === 'end') {
      const report = await working;
      delays.disable();
      const { user, system } = process.cpuUsage(cpu);
      const measured: Measured = {
        delayP99Ms: delays.percentile(99) / 1e6,
        delayMaxMs: delays.max / 1e6,
        cpuMs: (user + system) / 1000,
      };
      process.send?.({ ...report, ...measured });
    } else {
      await stop();
      process.exit(0);
    }
  });
  // A parent that was killed has told nobody to stop.
  process.on('disconnect', () => process.exit(1));
  process.send?.({ url });
}
