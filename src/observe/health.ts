import type { GeneratorHealth } from '../generators/generator.ts';
import type { Clock } from '../render/clock.ts';

/** How one part is. */
export interface PartHealth {
  readonly status: 'ok' | 'degraded' | 'failed';
  readonly reason?: string | undefined;
}

/** How the server is, part by part. */
export interface HealthReport {
  readonly status: 'ok' | 'degraded' | 'failed';
  readonly version: string;
  readonly uptime_s: number;
  readonly parts: Readonly<Record<string, PartHealth>>;
}

/** What the health looks at. */
export interface HealthSources {
  /** Rejects when the journal cannot be written. */
  probeJournal(): Promise<void>;
  /** Rejects when the image store cannot be written. */
  probeStore(): Promise<void>;
  draining(): boolean;
  /** Whether there is room on the disks. */
  disks(): Iterable<readonly [string, PartHealth]>;
  /** Whether an operator has paused the queue. */
  paused(): Promise<boolean>;
  generators(): Iterable<readonly [string, GeneratorHealth]>;
  /** Absent when the bus is off. */
  bus(): { state: 'up' | 'waiting' | 'down'; reason?: string | undefined } | undefined;
  readonly clock: Clock;
  readonly version: string;
}

/** Whether the server can take renders, and how each part is. */
export interface Health {
  /** Why no render can be taken now; empty when one can. A model may still be loading. */
  readiness(): Promise<readonly string[]>;
  report(): Promise<HealthReport>;
}

/** How long a look at the disk counts, in ms: probes write, and anybody may ask. */
const PROBE_MS = 1000;

const BUS_STATUS = { up: 'ok', waiting: 'degraded', down: 'failed' } as const;
const GENERATOR_STATUS = {
  ready: 'ok',
  starting: 'degraded',
  degraded: 'degraded',
  open: 'degraded',
  disabled: 'failed',
} as const;

/** Creates the health checks. */
export function createHealth(sources: HealthSources): Health {
  const { clock } = sources;
  const started = clock.elapsed();
  const journal = remember(clock, () => toPart(sources.probeJournal(), 'it cannot be written'));
  const store = remember(clock, () => toPart(sources.probeStore(), 'images cannot be written'));

  async function storage(): Promise<{ journal: PartHealth; store: PartHealth }> {
    const [journalPart, storePart] = await Promise.all([journal(), store()]);
    return { journal: journalPart, store: storePart };
  }

  async function isPaused(): Promise<boolean> {
    try {
      return await sources.paused();
    } catch {
      // The journal cannot be asked: its own part says that.
      return false;
    }
  }

  return {
    async readiness() {
      const parts = Object.entries(await storage()).filter(([, { status }]) => status === 'failed');
      const reasons = parts.map(([name, { reason }]) => `${name}: ${reason}`);
      return sources.draining() ? [...reasons, 'the server is stopping'] : reasons;
    },
    async report() {
      const parts: Record<string, PartHealth> = await storage();
      for (const [name, disk] of sources.disks()) parts[`disk:${name}`] = disk;
      if (await isPaused()) parts.queue = { status: 'degraded', reason: 'it is paused' };
      const bus = sources.bus();
      if (bus !== undefined) parts.bus = { status: BUS_STATUS[bus.state], reason: bus.reason };
      for (const [name, { state, reason }] of sources.generators()) {
        const status = GENERATOR_STATUS[state];
        parts[`generator:${name}`] = { status, reason: reason ?? (status === 'ok' ? undefined : state) };
      }
      if (sources.draining()) parts.server = { status: 'failed', reason: 'the server is stopping' };
      return {
        status: worst(Object.values(parts)),
        version: sources.version,
        uptime_s: Math.round((clock.elapsed() - started) / 1000),
        parts,
      };
    },
  };
}

function worst(parts: readonly PartHealth[]): HealthReport['status'] {
  if (parts.some(({ status }) => status === 'failed')) return 'failed';
  return parts.some(({ status }) => status === 'degraded') ? 'degraded' : 'ok';
}

async function toPart(probe: Promise<void>, reason: string): Promise<PartHealth> {
  return probe.then(
    () => ({ status: 'ok' }),
    () => ({ status: 'failed', reason }),
  );
}

/** Answers anew at most once in `PROBE_MS`; everybody who asks meanwhile shares the answer. */
function remember(clock: Clock, look: () => Promise<PartHealth>): () => Promise<PartHealth> {
  let last: { at: number; answer: Promise<PartHealth> } | undefined;
  return () => {
    if (last === undefined || clock.elapsed() - last.at >= PROBE_MS) last = { at: clock.elapsed(), answer: look() };
    return last.answer;
  };
}
