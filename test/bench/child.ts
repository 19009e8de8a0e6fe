import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Histogram } from 'node:perf_hooks';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** A side of a scenario in a process of its own, so that measuring it does not slow it. */
export interface Child<R> {
  /** What it said when it was ready. */
  readonly ready: { readonly url?: string };
  /** Has it do its work, or be measured while somebody else loads it until `done`. */
  measure(done?: () => Promise<unknown>): Promise<R & { readonly delayP99Ms: number }>;
  stop(): Promise<void>;
}

/** Starts `test/bench/children/<name>.ts` with these arguments. */
export async function startChild<R>(name: string, ...args: string[]): Promise<Child<R>> {
  const child = fork(new URL(`./children/${name}.ts`, import.meta.url), args, { serialization: 'advanced' });
  const [ready] = await once(child, 'message');
  return {
    ready,
    async measure(done = async () => undefined) {
      child.send('begin');
      await done();
      child.send('end');
      const [report] = await once(child, 'message');
      return report;
    },
    async stop() {
      child.send('stop');
      await once(child, 'exit');
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
  let delays: Histogram & { enable(): boolean; disable(): boolean };
  let working: Promise<object> = Promise.resolve({});
  process.on('message', async (message) => {
    if (message === 'begin') {
      delays = monitorEventLoopDelay({ resolution: 1 });
      delays.enable();
      working = work?.() ?? Promise.resolve({});
    } else if (message === 'end') {
      const report = await working;
      delays.disable();
      process.send?.({ ...report, delayP99Ms: delays.percentile(99) / 1e6 });
    } else {
      await stop();
      process.exit(0);
    }
  });
  process.send?.({ url });
}
