import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { startImageServer } from '../../src/app.ts';
import { createLog } from '../../src/observe/log.ts';
import { benchConfig, requestFor } from './children/parts.ts';

/** Renders in one call, as many as callers may send. */
const BATCH = 100;

/** A server that leaves nothing done: its first render takes an hour. */
async function startIdle(dir: string) {
  await mkdir(dir, { recursive: true });
  const config = benchConfig(dir);
  return await startImageServer({
    config: { ...config, mock: { ...config.mock, delay_s: 3600 } },
    log: createLog({ level: 'error', target: process.stdout, pretty: false }),
    nodeVersion: process.version,
    onFatal: (error) => {
      throw error;
    },
  });
}

/** Leaves a journal in `dir` with renders that wait. */
export async function fillJournal(dir: string, renders: number): Promise<void> {
  const server = await startIdle(dir);
  for (let seed = 0; seed < renders; seed += BATCH) {
    await server.renders.submitBatch(
      Array.from({ length: BATCH }, (_, at) => ({
        caller: { owner: 'bench', door: 'rest' as const },
        request: requestFor(seed + at),
        mode: 'strict' as const,
      })),
    );
  }
  await server.stop();
}

/** Makes all that waits look as if it had been running when the process died. */
export function interruptAll(dir: string): void {
  const database = new DatabaseSync(join(dir, 'data', 'journal.db'));
  database.exec(`
    BEGIN;
    INSERT INTO attempts (work_id, attempt, generator, started_at)
      SELECT id, attempts + 1, generator, created_at FROM works WHERE status = 'queued';
    UPDATE works SET status = 'running', attempts = attempts + 1 WHERE status = 'queued';
    UPDATE renders SET status = 'running', started_at = created_at WHERE status = 'queued';
    COMMIT`);
  database.close();
}

/** Leaves image files in `dir`, with a journal that knows them. */
export async function fillStore(dir: string, images: number): Promise<void> {
  await (await startIdle(dir)).stop();
  const database = new DatabaseSync(join(dir, 'data', 'journal.db'));
  const insert = database.prepare(
    `INSERT INTO images (image_id, format, width, height, bytes, created_at, used_at)
     VALUES ($id, 'png', 64, 64, 1, $at, $at)`,
  );
  const ids = Array.from({ length: images }, (_, at) => createHash('sha256').update(String(at)).digest('hex'));
  database.exec('BEGIN');
  for (const id of ids) insert.run({ id, at: Date.now() });
  database.exec('COMMIT');
  database.close();
  const folders = Object.entries(Object.groupBy(ids, (id) => id.slice(0, 2)));
  for (const [folder, names = []] of folders) {
    const path = join(dir, 'images', 'renders', folder);
    await mkdir(path, { recursive: true });
    await Promise.all(names.map((id) => writeFile(join(path, `${id}.png`), '-')));
  }
}
