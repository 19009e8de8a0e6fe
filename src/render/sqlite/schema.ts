/** How prompts are cut into words. */
export const TOKENIZER = 'unicode61 remove_diacritics 2';

/** Words with a character that `spaced` cuts off, and some of other scripts between those. */
const UNSPACED = `GLOB '*[\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc\u{1b000}-\u{1b2ff}\u{20000}-\u{3ffff}]*'`;

/**
 * The journal's schema, one step a version; `PRAGMA user_version` says how many a file has had. Steps are only ever
 * added. Times are ms since 1970. A render is what a caller asked for, a work what a generator does about it.
 * A caller's `request_id` is kept as JSON, which gives every string back verbatim, half a surrogate pair too.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  CREATE TABLE works (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    generator TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'abandoned')),
    priority INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX works_queue ON works (generator, priority DESC, lane, ord) WHERE status = 'queued';
  CREATE INDEX works_running ON works (generator) WHERE status = 'running';

  -- How many works wait, so that neither an accept nor a scrape has to count them.
  CREATE TABLE queue_counts (
    generator TEXT NOT NULL,
    priority INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    queued INTEGER NOT NULL,
    PRIMARY KEY (generator, priority, lane)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER works_inserted AFTER INSERT ON works WHEN new.status = 'queued' BEGIN
    INSERT INTO queue_counts VALUES (new.generator, new.priority, new.lane, 1)
      ON CONFLICT DO UPDATE SET queued = queued + 1;
  END;
  CREATE TRIGGER works_queued AFTER UPDATE OF status ON works
  WHEN new.status = 'queued' AND old.status <> 'queued' BEGIN
    UPDATE queue_counts SET queued = queued + 1
      WHERE generator = new.generator AND priority = new.priority AND lane = new.lane;
  END;
  CREATE TRIGGER works_unqueued AFTER UPDATE OF status ON works
  WHEN old.status = 'queued' AND new.status <> 'queued' BEGIN
    UPDATE queue_counts SET queued = queued - 1
      WHERE generator = old.generator AND priority = old.priority AND lane = old.lane;
  END;

  CREATE TABLE work_inputs (
    work_id TEXT NOT NULL REFERENCES works (id),
    role TEXT NOT NULL,
    image_id TEXT NOT NULL,
    PRIMARY KEY (work_id, role)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX work_inputs_image ON work_inputs (image_id);

  CREATE TABLE attempts (
    work_id TEXT NOT NULL REFERENCES works (id),
    attempt INTEGER NOT NULL,
    generator TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT,
    error TEXT,
    remote_id TEXT,
    PRIMARY KEY (work_id, attempt)
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX attempts_open ON attempts (work_id) WHERE ended_at IS NULL;

  CREATE TABLE renders (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    door TEXT NOT NULL,
    request_id TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    work_id TEXT NOT NULL REFERENCES works (id),
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    generator TEXT NOT NULL,
    priority INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    spent_ms INTEGER NOT NULL DEFAULT 0,
    request TEXT NOT NULL,
    ignored TEXT NOT NULL,
    timings TEXT,
    error TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    UNIQUE (request_id, owner)
  ) STRICT;
  CREATE INDEX renders_work ON renders (work_id);
  CREATE INDEX renders_active ON renders (generator, owner) WHERE status IN ('queued', 'running');

  CREATE TABLE images (
    image_id TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE render_images (
    render_id TEXT NOT NULL REFERENCES renders (id),
    idx INTEGER NOT NULL,
    image_id TEXT NOT NULL REFERENCES images (image_id),
    seed INTEGER NOT NULL,
    PRIMARY KEY (render_id, idx)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX render_images_image ON render_images (image_id);

  CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    door TEXT NOT NULL,
    render_id TEXT,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_last ON events (render_id) WHERE type IN ('ImageReady', 'RenderFailed', 'RenderCancelled');
  `,
  `
  -- What lies in the image store, to know what was used least recently without looking at the files.
  ALTER TABLE images ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE images ADD COLUMN evicted_at INTEGER;
  UPDATE images SET used_at = created_at;
  CREATE INDEX images_lru ON images (used_at, bytes) WHERE evicted_at IS NULL;

  CREATE TABLE inputs (
    image_id TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX inputs_lru ON inputs (used_at, bytes);
  `,
  `
  ALTER TABLE attempts ADD COLUMN cost_usd REAL;
  CREATE INDEX attempts_cost ON attempts (generator, started_at) WHERE cost_usd IS NOT NULL;

  -- Waiting work can move to another priority or generator now.
  DROP TRIGGER works_queued;
  CREATE TRIGGER works_queued AFTER UPDATE OF status ON works
  WHEN new.status = 'queued' AND old.status <> 'queued' BEGIN
    INSERT INTO queue_counts VALUES (new.generator, new.priority, new.lane, 1)
      ON CONFLICT DO UPDATE SET queued = queued + 1;
  END;
  CREATE TRIGGER works_moved AFTER UPDATE OF generator, priority, lane ON works
  WHEN new.status = 'queued' AND old.status = 'queued' BEGIN
    UPDATE queue_counts SET queued = queued - 1
      WHERE generator = old.generator AND priority = old.priority AND lane = old.lane;
    INSERT INTO queue_counts VALUES (new.generator, new.priority, new.lane, 1)
      ON CONFLICT DO UPDATE SET queued = queued + 1;
  END;

  -- Work whose images may answer equal requests, by the SHA-256 of what makes them equal.
  ALTER TABLE works ADD COLUMN cache_key BLOB;
  CREATE INDEX works_shared ON works (cache_key, ord) WHERE cache_key IS NOT NULL;

  -- Images belong to the work: several renders may have waited for it, or been answered from it later.
  CREATE TABLE work_images (
    work_id TEXT NOT NULL REFERENCES works (id),
    idx INTEGER NOT NULL,
    image_id TEXT NOT NULL REFERENCES images (image_id),
    seed INTEGER NOT NULL,
    PRIMARY KEY (work_id, idx)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO work_images SELECT work_id, idx, image_id, seed FROM render_images JOIN renders ON id = render_id;
  DROP TABLE render_images;
  CREATE INDEX work_images_image ON work_images (image_id);

  ALTER TABLE renders ADD COLUMN queue_timeout_ms INTEGER NOT NULL DEFAULT 600000;
  ALTER TABLE renders ADD COLUMN queue_until INTEGER;
  UPDATE renders SET queue_until = created_at + queue_timeout_ms WHERE status = 'queued' AND started_at IS NULL;
  ALTER TABLE renders ADD COLUMN fallback INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE renders ADD COLUMN fallback_from TEXT;
  ALTER TABLE renders ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE renders ADD COLUMN batch_id TEXT;
  ALTER TABLE renders ADD COLUMN era TEXT;
  ALTER TABLE renders ADD COLUMN biome TEXT;
  UPDATE renders SET era = json_extract(request, '$.era'), biome = json_extract(request, '$.biome');
  -- Lists are newest first. Only what is over is indexed: what is active is little, and an accept must be cheap.
  CREATE INDEX renders_by_generator ON renders (generator, ord) WHERE finished_at IS NOT NULL;
  CREATE INDEX renders_by_era ON renders (era, biome, ord) WHERE finished_at IS NOT NULL AND era IS NOT NULL;
  CREATE INDEX renders_by_biome ON renders (biome, ord) WHERE finished_at IS NOT NULL AND biome IS NOT NULL;
  CREATE INDEX renders_unhappy ON renders (status, ord) WHERE status IN ('failed', 'cancelled');
  CREATE INDEX renders_batch ON renders (batch_id, ord) WHERE batch_id IS NOT NULL;

  CREATE TABLE idempotency_keys (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    render_ids TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX idempotency_keys_age ON idempotency_keys (at);

  -- Prompts for searching; rowid is the render's ord. Filled behind the accepts: see prompts_upto in meta.
  CREATE VIRTUAL TABLE prompts USING fts5(prompt, content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2");

  -- Files that were given up and may still lie there.
  CREATE TABLE doomed (
    kind TEXT NOT NULL,
    image_id TEXT NOT NULL,
    format TEXT NOT NULL,
    PRIMARY KEY (kind, image_id, format)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX images_evicted ON images (evicted_at) WHERE evicted_at IS NOT NULL;
  `,
  `
  -- An era with all its biomes, and an owner, newest first.
  CREATE INDEX renders_of_era ON renders (era, ord) WHERE finished_at IS NOT NULL AND era IS NOT NULL;
  CREATE INDEX renders_by_owner ON renders (owner, ord) WHERE finished_at IS NOT NULL;
  `,
  `
  -- How long a render waited for its first start. Not the difference of two times: the clock may have jumped between.
  ALTER TABLE renders ADD COLUMN queued_ms INTEGER;

  -- Which of the generator's models it was, unless the usual one.
  ALTER TABLE attempts ADD COLUMN model TEXT;

  -- What lies in the image store, so that a scrape need not add it up.
  CREATE TABLE store_usage (files INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  INSERT INTO store_usage SELECT count(*), coalesce(sum(bytes), 0) FROM (
    SELECT bytes FROM images WHERE evicted_at IS NULL UNION ALL SELECT bytes FROM inputs);
  CREATE TRIGGER images_kept AFTER INSERT ON images WHEN new.evicted_at IS NULL BEGIN
    UPDATE store_usage SET files = files + 1, bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER images_back AFTER UPDATE OF evicted_at ON images
  WHEN old.evicted_at IS NOT NULL AND new.evicted_at IS NULL BEGIN
    UPDATE store_usage SET files = files + 1, bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER images_gone AFTER UPDATE OF evicted_at ON images
  WHEN old.evicted_at IS NULL AND new.evicted_at IS NOT NULL BEGIN
    UPDATE store_usage SET files = files - 1, bytes = bytes - old.bytes;
  END;
  CREATE TRIGGER images_forgotten AFTER DELETE ON images WHEN old.evicted_at IS NULL BEGIN
    UPDATE store_usage SET files = files - 1, bytes = bytes - old.bytes;
  END;
  CREATE TRIGGER inputs_kept AFTER INSERT ON inputs BEGIN
    UPDATE store_usage SET files = files + 1, bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER inputs_gone AFTER DELETE ON inputs BEGIN
    UPDATE store_usage SET files = files - 1, bytes = bytes - old.bytes;
  END;
  `,
  `
  -- Beginnings of up to three letters are words of their own; see prompt-words.ts.
  DROP TABLE prompts;
  CREATE VIRTUAL TABLE prompts USING fts5(prompt, content = '', contentless_delete = 1, prefix = '1 2 3',
    tokenize = "${TOKENIZER}");
  INSERT INTO prompts (rowid, prompt) SELECT ord, json_extract(request, '$.prompt') FROM renders
    WHERE ord <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'prompts_upto');

  -- Every word that prompts have, with a render that is not before the newest one that has it.
  CREATE TABLE prompt_words (word TEXT PRIMARY KEY, last_ord INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE VIRTUAL TABLE temp.every_word USING fts5vocab (main, prompts, row);
  INSERT INTO prompt_words SELECT term, (SELECT max(ord) FROM renders) FROM temp.every_word;
  DROP TABLE temp.every_word;
  `,
  `
  -- How far the journal was when, by the clock that never jumps: what is older than that is told by its place. Of a
  -- journal that has no such notes yet, some events tell, by the clock that there was.
  CREATE TABLE times (at INTEGER PRIMARY KEY, ord INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
  WITH RECURSIVE picked (seq) AS (
    SELECT min(seq) FROM events
    UNION ALL
    SELECT seq + max(1, (SELECT max(seq) - min(seq) FROM events) / 1000) FROM picked
      WHERE seq < (SELECT max(seq) FROM events)
  )
  INSERT OR REPLACE INTO times SELECT events.at, renders.ord, events.seq
    FROM picked JOIN events USING (seq) JOIN renders ON renders.id = events.render_id;
  `,
  `
  -- Scripts without spaces are cut into characters now; see unspaced.ts. What has any is indexed anew, in the background.
  CREATE TABLE prompts_anew (ord INTEGER PRIMARY KEY) STRICT;
  CREATE VIRTUAL TABLE temp.every_place USING fts5vocab (main, prompts, instance);
  INSERT OR IGNORE INTO prompts_anew
    SELECT doc FROM prompt_words CROSS JOIN temp.every_place ON term = word WHERE word ${UNSPACED};
  DROP TABLE temp.every_place;
  DELETE FROM prompt_words WHERE word ${UNSPACED};
  `,
  `
  -- Jobs of providers whose costs are not known although their attempts are over.
  CREATE INDEX attempts_left ON attempts (ended_at)
    WHERE remote_id IS NOT NULL AND cost_usd IS NULL AND outcome IN ('detached', 'crashed', 'released');
  `,
  `
  -- Attempts that may have cost something which is not known.
  CREATE INDEX attempts_unbilled ON attempts (generator, started_at)
    WHERE cost_usd IS NULL AND outcome IN ('detached', 'unknown');
  `,
  `
  -- Whoever takes work in counts it: a trigger makes every insert a statement that may have to be undone by itself.
  DROP TRIGGER works_inserted;
  `,
];
