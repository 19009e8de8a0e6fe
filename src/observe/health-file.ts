import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../render/clock.ts';
import type { PublishedEvent } from '../render/hub.ts';
import type { Logger } from '../render/logger.ts';
import type { HealthReport } from './health.ts';
import { localTimestamp } from './local-timestamp.ts';

/** How often the file is written when nothing happens: Experimance's health service takes 120 s for dead. */
const EVERY_MS = 30_000;
/** Checks that are kept, as in Experimance. */
const MAX_CHECKS = 50;

const STATUS = { ok: 'healthy', degraded: 'warning', failed: 'error' } as const;

/** How Experimance's health service calls it. */
export type ExperimanceStatus = 'healthy' | 'warning' | 'error' | 'fatal' | 'unknown';

interface Check {
  readonly name: string;
  readonly status: ExperimanceStatus;
  readonly message: string | null;
  readonly timestamp: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What the file is written from. */
export interface HealthFileOptions {
  /** Absolute. */
  readonly path: string;
  readonly report: () => Promise<HealthReport>;
  /** Works that wait or run. */
  readonly tasks: () => Promise<number>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The file that Experimance's health service reads. */
export interface HealthFile {
  /** Writes now, every 30 s, and whenever something changes. */
  start(): Promise<void>;
  /** A part of the server has changed. */
  refresh(): void;
  /** Renders that fail are errors of the service there. */
  onEvent(event: PublishedEvent): void;
  onBusMessage(message: { readonly direction: 'in' | 'out'; readonly outcome: string }): void;
  /** Writes for the last time that the service has stopped. */
  close(): Promise<void>;
}

/**
 * Keeps the file up to date, whole at every moment. Unlike in Experimance, its overall status is how the server is now:
 * a fault that is over no longer shows there, only among the checks.
 */
export function createHealthFile({ path, report, tasks, clock, log }: HealthFileOptions): HealthFile {
  const started = clock.elapsed();
  const counts = { errors: 0, sent: 0, received: 0 };
  let checks: Check[] = [];
  let overall: ExperimanceStatus = 'unknown';
  let message: string | undefined;
  let lastCheck: string | null = null;
  let cancel = () => {};
  let closed = false;
  let writing: Promise<void> | undefined;
  let wanted = false;
  let broken = false;

  function note(name: string, status: ExperimanceStatus, said: string | null, metadata: Check['metadata'] = {}): void {
    const check = { name, status, message: said, timestamp: localTimestamp(clock.now()), metadata };
    checks = [...checks, check].slice(-MAX_CHECKS);
  }

  async function look(): Promise<{ state: string; tasksCount: number | null }> {
    const [{ status: state, parts }, tasksCount] = await Promise.all([report(), countTasks()]);
    // What is seen of a service that stops is not how it was.
    if (closed) return { state, tasksCount };
    const ill = Object.entries(parts).filter(([, { status }]) => status !== 'ok');
    const reasons = ill.map(([part, { status, reason }]) => `${part}: ${reason ?? status}`);
    overall = STATUS[state];
    message = reasons.length === 0 ? undefined : reasons.join('; ');
    lastCheck = localTimestamp(clock.now());
    return { state, tasksCount };
  }

  /** Null when the journal does not tell: the report then says why. */
  async function countTasks(): Promise<number | null> {
    try {
      return await tasks();
    } catch (err) {
      log.debug({ err }, 'The works that wait could not be counted for the health file');
      return null;
    }
  }

  async function check(): Promise<void> {
    cancel = clock.after(EVERY_MS, () => void check());
    const { state, tasksCount } = await look();
    if (closed) return;
    note('periodic_health_check', overall, message ?? null, { uptime: uptime(), state, tasks_count: tasksCount });
    await write();
  }

  function uptime(): number {
    return Math.round(clock.elapsed() - started) / 1000;
  }

  function content(): string {
    const file = {
      service_name: 'image-server',
      overall_status: overall,
      checks,
      last_updated: localTimestamp(clock.now()),
      uptime: uptime(),
      restart_count: 0,
      error_count: counts.errors,
      messages_sent: counts.sent,
      messages_received: counts.received,
      last_check: lastCheck,
      ...(message === undefined ? {} : { message }),
    };
    return `${JSON.stringify(file, null, 2)}\n`;
  }

  /** One write at a time; what changes meanwhile goes into the next. */
  async function write(): Promise<void> {
    wanted = true;
    writing ??= writeWhileWanted().finally(() => {
      writing = undefined;
    });
    await writing;
  }

  async function writeWhileWanted(): Promise<void> {
    while (wanted) {
      wanted = false;
      try {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(`${path}.tmp`, content());
        await rename(`${path}.tmp`, path);
        broken = false;
      } catch (err) {
        // Once per fault: it would be a line every 30 s.
        if (!broken) log.warn({ err, path }, 'The health file cannot be written');
        broken = true;
      }
    }
  }

  return {
    async start() {
      note('service_initialization', 'healthy', 'Service initialized');
      note('service_start', 'healthy', 'Service started');
      await check();
    },
    refresh() {
      if (!closed && lastCheck !== null) void look().then(write);
    },
    onEvent({ event }) {
      if (event.type === 'GeneratorState' || event.type === 'ServerDraining') this.refresh();
      if (event.type !== 'RenderFailed') return;
      counts.errors += 1;
      const metadata = { error_type: event.code, is_fatal: false, error_count: counts.errors };
      note('service_error', 'error', event.message, metadata);
      void write();
    },
    onBusMessage({ direction, outcome }) {
      if (direction === 'in') counts.received += 1;
      else if (outcome === 'sent') counts.sent += 1;
    },
    async close() {
      closed = true;
      cancel();
      note('service_stop', 'healthy', 'Service stopping');
      note('service_stopped', 'warning', 'Service stopped');
      overall = 'warning';
      message = 'the server has stopped';
      lastCheck = localTimestamp(clock.now());
      await write();
    },
  };
}
