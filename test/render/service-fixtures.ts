import { onTestFinished } from 'vitest';
import type { RenderRequest } from '../../src/messages/render-request.ts';
import type { Submission } from '../../src/render/prepare.ts';
import type { Caller } from '../../src/render/records.ts';
import type { RenderService } from '../../src/render/service.ts';
import type { Submitted } from '../../src/render/submitting.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import type { ConfigChanges, TestApp } from '../helper.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import type { EventWatch } from './event-watch.ts';
import { watchEvents } from './event-watch.ts';

export const ANN: Caller = { owner: 'ann', door: 'rest' };
export const BOB: Caller = { owner: 'bob', door: 'rest' };
export const CORE: Caller = { owner: 'bus', door: 'bus' };

/** A whole server whose generators `stepped` (the default) and `other` the test steps. */
export interface SteppedServer {
  readonly app: TestApp;
  readonly renders: RenderService;
  readonly generator: SteppedGenerator;
  readonly other: SteppedGenerator;
  readonly clock: ManualClock;
  readonly watch: EventWatch;
  /** Hands a request in, by default Ann's over REST. */
  submit(request?: Partial<RenderRequest>, changes?: Partial<Submission>): Promise<Submitted>;
  /** Stops the server, letting its grace of 1 s pass, and 2 s more for what does not stop. */
  stop(): Promise<void>;
}

/** Starts it, by default on new folders. */
export async function startStepped(options: { config?: ConfigChanges; dir?: string } = {}): Promise<SteppedServer> {
  const generator = new SteppedGenerator();
  const other = new SteppedGenerator('other');
  const clock = new ManualClock();
  const app = await startApp({
    ...options,
    config: { ...options.config, generator: { strategy: 'stepped', ...options.config?.generator } },
    overrides: { clock, generators: new Map([generator, other].map((each) => [each.name, each])) },
  });
  const { renders } = app;
  // The event stream's pings, the looks at the disks, at stray inputs and at jobs that were left, and the retention's
  // rounds: from now on, timers are the test's.
  while (clock.pending < 5) await new Promise((resolve) => setImmediate(resolve));
  // What is due at once.
  await clock.advance(0);
  const watch = watchEvents(renders.subscribe);
  const stop = async () => {
    const stopped = app.stop();
    await watch.until('ServerDraining');
    // The grace, then what a generator gets to stop.
    await clock.advance(1000);
    await clock.advance(2000);
    await stopped;
  };
  onTestFinished(async () => {
    const stopped = app.stop();
    await watch.until('ServerDraining');
    // Without time: what is being written is to be whole before its folder goes.
    await Promise.all([generator.close(), other.close()]);
    await stopped;
  });
  return {
    app,
    renders,
    generator,
    other,
    clock,
    watch,
    submit: (request = {}, changes = {}) =>
      renders.submit({ caller: ANN, mode: 'strict', ...changes, request: { prompt: 'a delta', ...request } }),
    stop,
  };
}
