import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteJournal } from '../../src/render/sqlite/journal.ts';

const PLACES = `json_array('wilderness', 'modern', 'future', 'ruins')`;
const BIOMES = `json_array('river', 'desert', 'coastal', 'plains', 'arctic')`;

/** A new journal in `dir` that remembers `renders` finished ones, as a long-lived server would. */
export async function fillJournal(dir: string, renders: number): Promise<void> {
  const journal = await openSqliteJournal({ dir, onFatal: fail });
  await journal.close();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec('PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; BEGIN');
  // Ids as the server makes them: growing, so that new ones come at the end of their index.
  database.exec(`CREATE TEMP TABLE n AS WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ${renders})
    SELECT n, printf('01900000-%04x-7%03x-8000-%012x', n >> 16, n & 4095, n) AS id,
      json_extract(${PLACES}, '$[' || (n % 4) || ']') AS era, json_extract(${BIOMES}, '$[' || (n % 5) || ']') AS biome,
      printf('%064x', n) AS image FROM count`);
  database.exec(`INSERT INTO works (id, generator, status, priority, lane, attempts, spec, cache_key, created_at)
    SELECT id, 'draw', 'succeeded', 0, 1, 1, '{}', unhex(printf('%064x', n * 2654435761 % 4294967296)), n FROM n`);
  database.exec(`INSERT INTO attempts (work_id, attempt, generator, started_at, ended_at, outcome)
    SELECT id, 1, 'draw', n, n, 'succeeded' FROM n`);
  database.exec(`INSERT INTO images (image_id, format, width, height, bytes, created_at, used_at)
    SELECT image, 'jpeg', 1024, 1024, 200000, n, n FROM n`);
  database.exec('INSERT INTO work_images (work_id, idx, image_id, seed) SELECT id, 0, image, n FROM n');
  database.exec(`INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms,
      request, ignored, timings, created_at, started_at, finished_at, era, biome)
    SELECT id, 'anonymous', 'rest', json_quote(id), id, id, iif(n % 100 = 0, 'failed', 'succeeded'), 'draw', 0, 120000,
      json_object('prompt', printf('a landscape of ground%d seen from above, light%d, season%d', n % 53, n % 59, n % 61), 'era', era, 'biome', biome),
      '[]', '{"queued_ms":1,"render_ms":1,"store_ms":1}', n, n, n, era, biome FROM n`);
  database.exec(`INSERT INTO events (at, type, owner, door, render_id, body)
    SELECT n, 'CostKnown', 'anonymous', 'rest', id, '{"type":"CostKnown"}' FROM n`);
  database.exec('DROP TABLE n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
}

function fail(error: Error): never {
  throw error;
}
