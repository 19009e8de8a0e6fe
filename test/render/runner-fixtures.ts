import { onTestFinished } from 'vitest';
import type { ServedGenerator } from '../../src/generators/generator.ts';
import { createSteadyTime } from '../../src/render/clock.ts';
import { createHub } from '../../src/render/hub.ts';
import type { Journal } from '../../src/render/journal.ts';
import type { RenderRecord } from '../../src/render/records.ts';
import type { Runner } from '../../src/render/runner.ts';
import { createRunner } from '../../src/render/runner.ts';
import { createStorageGate } from '../../src/render/storage-gate.ts';
import { createWorkNotes } from '../../src/render/work-notes.ts';
import { createImages } from '../../src/store/convert.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import type { EventWatch } from './event-watch.ts';
import { watchEvents } from './event-watch.ts';
import type { RenderChanges } from './journal-fixtures.ts';
import { accept } from './journal-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

/** What a test puts in the place of a part. */
export interface RunnerChanges {
  readonly concurrency?: number;
  readonly fallback?: readonly string[];
  readonly retries?: number;
  readonly limits?: Pick<ServedGenerator, 'ratePerMinute' | 'dailySpendUsd'>;
  /** The journal as the runner sees it; the test has the real one. */
  readonly journal?: (real: Journal) => Journal;
  readonly store?: (real: ImageStore) => ImageStore;
}

/** One line that the runner logged. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A runner with a generator `draw` that the test steps, on a real journal and a real store. */
export interface RunningRunner {
  readonly runner: Runner;
  readonly journal: Journal;
  readonly store: ImageStore;
  /** The store's folder. */
  readonly dir: string;
  readonly generator: SteppedGenerator;
  /** Another one, `other`, for fallbacks. */
  readonly other: SteppedGenerator;
  /** Changes of the generators' states, as the runner told them. */
  readonly states: string[];
  readonly clock: ManualClock;
  readonly watch: EventWatch;
  /** Steps of the renders' progress, as the hub told them. */
  readonly progress: { render_id: string; step: number; fraction: number }[];
  readonly lines: LogLine[];
  /** Takes a render in and wakes the runner. Times out after 1000 s unless it says otherwise. */
  submit(changes?: RenderChanges): Promise<RenderRecord>;
}

/** Starts a runner. */
export async function startRunner({ concurrency = 1, ...changes }: RunnerChanges = {}): Promise<RunningRunner> {
  const { journal } = await openJournal();
  const dir = await temporaryDir();
  const store = await createFileImageStore({ dir });
  const clock = new ManualClock();
  const steadyNow = createSteadyTime(clock);
  const generator = new SteppedGenerator('draw');
  const other = new SteppedGenerator('other');
  const states: string[] = [];
  const lines: LogLine[] = [];
  const write = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const hub = createHub({
    journal,
    links: { url: (path) => path, uri: (imageId) => imageId, showPaths: true },
    onListenerError: (error) => {
      throw error;
    },
  });
  const watch = watchEvents(hub.subscribe);
  const progress: RunningRunner['progress'] = [];
  hub.subscribeProgress(({ render_id, step, fraction }) => progress.push({ render_id, step, fraction }));
  const kept = changes.store?.(store) ?? store;
  const storage = createStorageGate({ probe: kept.probe, onOpen: () => runner.wakeAll(), clock, log });
  const runner: Runner = createRunner({
    generators: new Map(
      [generator, other].map((each) => [
        each.name,
        { generator: each, concurrency, timeoutMs: 1_000_000, ...changes.limits },
      ]),
    ),
    fallback: (changes.fallback ?? []).map((name) => ({ generator: name })),
    retries: changes.retries ?? 0,
    random: () => 1,
    onState: (name, { state }) => void states.push(`${name} ${state}`),
    onPassed: () => undefined,
    steadyNow,
    notes: createWorkNotes({ journal, store: changes.store?.(store) ?? store, clock, steadyNow, log }),
    journal: changes.journal?.(journal) ?? journal,
    store: kept,
    storage,
    images: createImages({ maxPixels: 1e6, maxBytes: 1e6 }),
    hub,
    clock,
    log,
  });
  onTestFinished(async () => {
    const drained = runner.drain(0);
    // Less than a generator gets to stop: what is being written is to be whole before its folder goes.
    await clock.advance(1000);
    await Promise.all([generator.close(), other.close()]);
    await drained;
  });
  return {
    runner,
    journal,
    store,
    dir,
    generator,
    other,
    states,
    clock,
    watch,
    progress,
    lines,
    async submit(render = {}) {
      const record = await accept(journal, { timeoutMs: 1_000_000, ...render });
      runner.wake('draw');
      return record;
    },
  };
}
