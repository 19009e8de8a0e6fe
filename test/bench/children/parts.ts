import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Config } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';

/** How many renders one measurement makes. */
export const RENDERS = 60;

/** The same request for both sides; the seed makes each image another one. */
export function requestFor(seed: number) {
  return { prompt: 'A river delta at dawn, seen from above', width: 512, height: 512, seed };
}

/** Where a core and a worker of the bus meet in a folder. */
export function busAddresses(dir: string): { requests: string; results: string; events: string } {
  const at = (name: string) => `ipc://${join(dir, `${name}.sock`)}`;
  return { requests: at('requests'), results: at('results'), events: at('events') };
}

/** A folder of its own for this process. */
export async function scratch(): Promise<{ dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'image-server-bench-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** The server's configuration for a measurement: placeholder images, no bus. */
export function benchConfig(dir: string): Config {
  return configSchema.parse({
    cache_dir: join(dir, 'images'),
    data_dir: join(dir, 'data'),
    log_level: 'warn',
    http: { port: 0, drain_s: 0 },
    bus: { enabled: false },
    queue: { max_length: 10_000_000 },
    mock: { style: 'placeholder', steps: 1 },
  });
}

/** Durable inserts; those of one turn of the event loop share a commit. */
export function createInserts(dir: string): { insert(body: string): Promise<void>; close(): void } {
  const database = new DatabaseSync(join(dir, 'bare.db'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (body TEXT NOT NULL)');
  const statement = database.prepare('INSERT INTO rows VALUES (?)');
  let waiting: { body: string; resolve: () => void }[] = [];
  function commit(): void {
    const batch = waiting;
    waiting = [];
    database.exec('BEGIN');
    for (const { body } of batch) statement.run(body);
    database.exec('COMMIT');
    for (const { resolve } of batch) resolve();
  }
  return {
    insert: (body) =>
      new Promise((resolve) => {
        if (waiting.length === 0) setImmediate(commit);
        waiting.push({ body, resolve });
      }),
    close: () => database.close(),
  };
}
