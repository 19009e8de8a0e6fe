import type { Clock } from '../render/clock.ts';
import type { Logger } from '../render/logger.ts';
import type { PartHealth } from './health.ts';

/** How often the disks are looked at, in ms. */
const ROUND_MS = 10_000;
/** A disk is well again with this much more than the least, so that one image does not say so and the next unsay it. */
const WELL_AGAIN = 1.1;

const MIB = 2 ** 20;

/** Options of `createDiskWatch`. */
export interface DiskWatchOptions {
  /** The folders whose disks are looked at, by what they are called in metrics and in the health. */
  readonly folders: Readonly<Record<string, string>>;
  /** Bytes that may still be written where a folder lies. */
  freeBytes(folder: string): Promise<number>;
  /** With less than this left, a disk is nearly full; 0 never says so. */
  readonly warnBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hears that a disk has become nearly full, or is no longer. */
  onChange(): void;
}

/** Knows how much room is left, before there is none. */
export interface DiskWatch {
  /** Looks now, and every 10 s. */
  start(): Promise<void>;
  /** How each disk was at the last look, by the names of `folders`. */
  parts(): Iterable<readonly [string, PartHealth]>;
  /** Bytes left at the last look, by the names of `folders`; without those that could not be seen. */
  free(): Iterable<readonly [string, number]>;
  /** Looks no more; resolves when a look under way is over. */
  stop(): Promise<void>;
}

/** Creates the watch on the disks; it has nothing to say before `start`. */
export function createDiskWatch({ folders, clock, log, ...options }: DiskWatchOptions): DiskWatch {
  const disks = Object.entries(folders).map(([name, folder]) => ({
    ...{ name, folder },
    free: undefined as number | undefined,
    health: { status: 'ok' } as PartHealth,
  }));
  let stopped = false;
  let cancel = () => {};
  let looking: Promise<unknown> = Promise.resolve();

  async function look(disk: (typeof disks)[number]): Promise<void> {
    const before = disk.health.status;
    try {
      disk.free = await options.freeBytes(disk.folder);
      disk.health = judge(disk.free, before);
    } catch (err) {
      disk.free = undefined;
      disk.health = { status: 'degraded', reason: 'its free space cannot be seen' };
      if (before === 'ok') log.warn({ err, disk: disk.name }, 'the free space of a disk cannot be seen');
    }
    if (disk.health.status === before) return;
    if (disk.free !== undefined) tell(disk.name, disk.free, disk.health);
    options.onChange();
  }

  function judge(free: number, before: PartHealth['status']): PartHealth {
    const least = before === 'ok' ? options.warnBytes : options.warnBytes * WELL_AGAIN;
    if (free >= least) return { status: 'ok' };
    return { status: 'degraded', reason: `nearly full: ${Math.floor(free / MIB)} MiB are left` };
  }

  function tell(disk: string, free_bytes: number, { status }: PartHealth): void {
    if (status === 'ok') log.info({ disk, free_bytes }, 'a disk has room again');
    else log.warn({ disk, free_bytes }, 'a disk is nearly full; make room before renders are refused');
  }

  async function round(): Promise<void> {
    looking = Promise.all(disks.map(look));
    await looking;
    if (!stopped) cancel = clock.after(ROUND_MS, () => void round());
  }

  return {
    start: round,
    parts: () => disks.map(({ name, health }) => [name, health] as const),
    *free() {
      for (const { name, free } of disks) if (free !== undefined) yield [name, free] as const;
    },
    async stop() {
      stopped = true;
      cancel();
      await looking;
    },
  };
}
