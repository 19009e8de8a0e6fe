import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { RenderFilters } from '../../../src/render/records.ts';
import { openSqliteJournal } from '../../../src/render/sqlite/journal.ts';
import { MIGRATIONS } from '../../../src/render/sqlite/schema.ts';
import { temporaryDir } from '../../helper.ts';
import { AT, accept, claim, expectCode, find, queuedWorks, recover, TIMEOUT } from '../journal-fixtures.ts';
import { openJournal } from './open.ts';

const IMAGE = 'a'.repeat(64);

const open = (dir: string) => openSqliteJournal({ dir, onFatal: () => undefined });

/** Opens the journal in a process of its own; `said` is how that went. */
async function holder(dir: string) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('hold-journal.ts', import.meta.url)), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const kill = async () => {
    child.kill('SIGKILL');
    await exit;
  };
  return { said: String(line).trim(), kill };
}

it('a second journal on the same folder is refused in the same process, and the first goes on', async () => {
  const { journal, dir } = await openJournal();
  await expectCode(open(dir), 'data_dir_in_use');
  const { id } = await accept(journal);
  expect((await find(journal, id)).status).toBe('queued');
});

it('a second process on the same folder is refused', async () => {
  const { dir, journal } = await openJournal();
  expect((await holder(dir)).said).toBe('data_dir_in_use');
  await journal.close();
  expect((await holder(dir)).said).toBe('open');
  await expectCode(open(dir), 'data_dir_in_use');
});

it('the folder is free again when its holder is killed', async () => {
  const dir = await temporaryDir();
  const { said, kill } = await holder(dir);
  expect(said).toBe('open');
  await expectCode(open(dir), 'data_dir_in_use');
  await kill();
  const { journal } = await openJournal(dir);
  await accept(journal);
});

it('what was accepted is there after its process is killed', async () => {
  const { dir, journal } = await openJournal();
  const { id } = await accept(journal);
  // A copy of the files as they lie there now is what a dead process leaves.
  const copy = await temporaryDir();
  for (const file of ['journal.db', 'journal.db-wal'])
    await writeFile(join(copy, file), await readFile(join(dir, file)));
  const { journal: revived } = await openJournal(copy);
  expect((await find(revived, id)).status).toBe('queued');
  expect(revived.logId).toBe(journal.logId);
});

it('the folder is made when it is missing', async () => {
  const dir = join(await temporaryDir(), 'a', 'b');
  const { journal } = await openJournal(dir);
  await accept(journal);
});

it('a folder that cannot be made is an unreadable journal', async () => {
  const dir = await temporaryDir();
  await writeFile(join(dir, 'file'), '');
  await expectCode(open(join(dir, 'file', 'data')), 'journal_unreadable');
});

it('a journal of the first version is brought forward, with what is in it', async () => {
  const dir = await temporaryDir();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec(`${MIGRATIONS[0]} PRAGMA user_version = 1`);
  const image = [IMAGE, 'png', 8, 8, 100, AT] as const;
  database
    .prepare('INSERT INTO images (image_id, format, width, height, bytes, created_at) VALUES (?, ?, ?, ?, ?, ?)')
    .run(...image);
  database.close();
  const { journal } = await openJournal(dir);
  expect(await journal.findImage({ imageId: IMAGE })).toEqual({
    imageId: IMAGE,
    format: 'png',
    width: 8,
    height: 8,
    bytes: 100,
  });
  const limits = { maxBytes: 10, targetBytes: 0, keepSince: AT };
  expect(await journal.evict({ limits, at: AT })).toEqual([]);
  expect(await journal.evict({ limits: { ...limits, keepSince: AT + 1 }, at: AT })).toHaveLength(1);
});

it('a journal of the second version is brought forward, with its renders, images and the order of its queue', async () => {
  const dir = await temporaryDir();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec(`${MIGRATIONS.slice(0, 2).join('')} PRAGMA user_version = 2`);
  const work = database.prepare(
    `INSERT INTO works (id, generator, status, priority, lane, attempts, spec, created_at)
     VALUES (?, 'draw', ?, ?, ?, ?, '{"prompt":"a delta","numImages":1}', ?)`,
  );
  const render = database.prepare(
    `INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms,
       request, ignored, created_at, started_at, finished_at)
     VALUES (?, 'ann', 'rest', ?, 'body', ?, ?, 'draw', ?, 1000, ?, '["style"]', ?, ?, ?)`,
  );
  const add = (name: string, status: string, priority: number, request: object, times: (number | null)[]) => {
    const attempts = times[0] === null ? 0 : 1;
    work.run(`work ${name}`, status, priority, 1, attempts, AT);
    const text = JSON.stringify({ prompt: `a ${name} delta`, ...request });
    render.run(`id ${name}`, JSON.stringify(name), `work ${name}`, status, priority, text, AT, ...times);
    if (attempts === 0) return;
    const attempt = `INSERT INTO attempts (work_id, attempt, generator, started_at, ended_at, outcome, remote_id)
      VALUES (?, 1, 'draw', ?, ?, ?, 'job-1')`;
    database.prepare(attempt).run(`work ${name}`, ...times, times[1] === null ? null : status);
  };
  add('done', 'succeeded', 0, { era: 'modern', biome: 'coast' }, [AT + 1, AT + 2]);
  add('failed', 'failed', 0, { era: 'modern' }, [AT + 1, AT + 2]);
  add('late', 'queued', 0, {}, [null, null]);
  add('later', 'queued', 0, {}, [null, null]);
  add('urgent', 'queued', 5, {}, [null, null]);
  add('running', 'running', 0, { era: 'ancient' }, [AT + 3, null]);
  for (const [idx, imageId] of [IMAGE, 'b'.repeat(64)].entries()) {
    database.prepare(`INSERT INTO images VALUES (?, 'png', 8, 8, 100, ?, ?, NULL)`).run(imageId, AT, AT);
    database.prepare(`INSERT INTO render_images VALUES ('id done', ?, ?, ?)`).run(idx, imageId, 7 + idx);
  }
  database.close();

  const { journal, reopen } = await openJournal(dir);
  const done = await find(journal, 'done');
  expect(done).toMatchObject({
    ...{ id: 'id done', status: 'succeeded', ignored: ['style'], cached: false, fallback: true },
    ...{ queueTimeoutMs: 600_000, startedAt: AT + 1, finishedAt: AT + 2 },
    images: [{ imageId: IMAGE, seed: 7 }, { seed: 8 }],
    attempts: [{ outcome: 'succeeded', remoteId: 'job-1' }],
  });
  expect([done.batchId, done.fallbackFrom, done.attempts[0]?.costUsd]).toEqual([undefined, undefined, undefined]);
  expect(await journal.storeUsage({})).toEqual({ files: 2, bytes: 200 });
  const listed = async (filters: RenderFilters) =>
    (await journal.listRenders({ filters, limit: 9 })).renders.map(({ requestId }) => requestId);
  expect(await listed({})).toEqual(['running', 'urgent', 'later', 'late', 'failed', 'done']);
  expect(await listed({ era: 'modern' })).toEqual(['failed', 'done']);
  expect(await listed({ era: 'ancient' })).toEqual(['running']);
  expect(await listed({ biome: 'coast' })).toEqual(['done']);
  expect(await listed({ text: 'failed del' })).toEqual(['failed']);
  expect((await find(journal, 'late')).queuePosition).toBe(2);

  await recover(journal, { at: AT + 10, steadyAt: AT + 10 });
  const nextAt = { unstarted: TIMEOUT, started: TIMEOUT, at: AT, steadyAt: AT };
  expect(await journal.expireQueued(nextAt)).toEqual({ expired: 0, nextAt: AT + 600_000 });
  const claimed: string[] = [];
  for (let left = 4; left > 0; left -= 1) claimed.push((await claim(journal)).workId);
  expect(claimed).toEqual(['work urgent', 'work late', 'work later', 'work running']);
  expect(await queuedWorks(journal)).toBe(0);
  const later = await reopen();
  expect((await find(later, 'done')).images).toHaveLength(2);
});

it('a journal of the fourth version is brought forward, with the prompts that could be found and those that will be', async () => {
  const dir = await temporaryDir();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec(`${MIGRATIONS.slice(0, 4).join('')} PRAGMA user_version = 4`);
  for (const [index, prompt] of ['a river delta', 'a riverbed at night', 'a road'].entries()) {
    database.exec(`
      INSERT INTO works (id, generator, status, priority, lane, spec, created_at)
        VALUES ('w${index}', 'draw', 'succeeded', 0, 1, '{}', ${AT});
      INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms, request,
          ignored, created_at, finished_at)
        VALUES ('r${index}', 'ann', 'rest', '"r${index}"', 'body', 'w${index}', 'succeeded', 'draw', 0, 1000,
          '{"prompt":"${prompt}"}', '[]', ${AT}, ${AT + 1})`);
  }
  database.exec(`
    INSERT INTO prompts (rowid, prompt) VALUES (1, 'a river delta'), (2, 'a riverbed at night');
    INSERT INTO meta (key, value) VALUES ('prompts_upto', '2')`);
  database.close();
  const { journal } = await openJournal(dir);
  const found = async (text: string) =>
    (await journal.listRenders({ filters: { text }, limit: 9 })).renders.map(({ requestId }) => requestId);
  expect(await found('r')).toEqual(['r2', 'r1', 'r0']);
  expect(await found('rive')).toEqual(['r1', 'r0']);
  expect(await found('river')).toEqual(['r1', 'r0']);
  expect(await found('riverb')).toEqual(['r1']);
});

it('a journal of the sixth version is brought forward, with how old its renders are', async () => {
  const dir = await temporaryDir();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec(`${MIGRATIONS.slice(0, 6).join('')} PRAGMA user_version = 6`);
  for (let index = 0; index < 10; index += 1) {
    const at = AT + index * 10;
    database.exec(`
      INSERT INTO works (id, generator, status, priority, lane, spec, created_at)
        VALUES ('w${index}', 'draw', 'failed', 0, 1, '{}', ${at});
      INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms, request,
          ignored, created_at, finished_at)
        VALUES ('r${index}', 'ann', 'rest', '"r${index}"', 'body', 'w${index}', 'failed', 'draw', 0, 1000,
          '{"prompt":"a delta"}', '[]', ${at}, ${at + 1});
      INSERT INTO events (at, type, owner, door, render_id, body) VALUES
        (${at}, 'RenderQueued', 'ann', 'rest', 'r${index}', '{}'),
        (${at + 1}, 'RenderFailed', 'ann', 'rest', 'r${index}', '{}')`);
  }
  database.close();
  const { journal } = await openJournal(dir);
  expect(await journal.latestTime({})).toBe(AT + 91);
  expect(await journal.forget({ endedBefore: AT + 45, at: AT + 100 })).toEqual({ renders: 5 });
  const { renders } = await journal.listRenders({ filters: {}, limit: 99 });
  expect(renders.map(({ id }) => id)).toEqual(['r9', 'r8', 'r7', 'r6', 'r5']);
});

it('a journal of the seventh version is brought forward, and Japanese prompts are cut anew behind that', async () => {
  const dir = await temporaryDir();
  const database = new DatabaseSync(join(dir, 'journal.db'));
  database.exec(`${MIGRATIONS.slice(0, 7).join('')} PRAGMA user_version = 7`);
  const prompts = [
    '日本の庭園',
    'a lagoon by 東京tower',
    'a lagoon',
    ...Array.from({ length: 600 }, () => '静かな庭園'),
    '川',
  ];
  for (const [index, prompt] of prompts.entries()) {
    database.exec(`
      INSERT INTO works (id, generator, status, priority, lane, spec, created_at)
        VALUES ('w${index}', 'draw', 'succeeded', 0, 1, '{}', ${AT});
      INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms, request,
          ignored, created_at, finished_at)
        VALUES ('r${index}', 'ann', 'rest', '"r${index}"', 'body', 'w${index}', 'succeeded', 'draw', 0, 1000,
          '{"prompt":"${prompt}"}', '[]', ${AT}, ${AT + 1});
      INSERT INTO prompts (rowid, prompt) VALUES (${index + 1}, '${prompt}')`);
  }
  database.exec(`
    INSERT INTO prompt_words VALUES ('日本の庭園', 604), ('a', 604), ('lagoon', 604), ('by', 604), ('東京tower', 604),
      ('静かな庭園', 604), ('川', 604);
    INSERT INTO meta (key, value) VALUES ('prompts_upto', '604')`);
  database.close();
  const { journal, reopen } = await openJournal(dir);
  const found = async (text: string, from = journal) =>
    (await from.listRenders({ filters: { text }, limit: 999 })).renders.map(({ requestId }) => requestId);
  // What had been findable still is, the newest first.
  expect(await found('lagoon')).toEqual(['r2', 'r1']);
  expect(await journal.indexPrompts({})).toEqual({ left: true });
  expect(await found('庭園')).toHaveLength(499);
  const later = await reopen();
  expect(await later.indexPrompts({})).toEqual({ left: false });
  expect(await later.indexPrompts({})).toEqual({ left: false });
  expect(await found('庭園', later)).toHaveLength(601);
  expect(await found('日本 庭園', later)).toEqual(['r0']);
  expect(await found('lagoon tow', later)).toEqual(['r1']);
  expect(await found('lago', later)).toEqual(['r2', 'r1']);
});

it('a journal of a newer version is refused and left as it is', async () => {
  const { journal, dir } = await openJournal();
  const { id } = await accept(journal);
  await journal.close();
  const setVersion = (version: number) => {
    const database = new DatabaseSync(join(dir, 'journal.db'));
    database.exec(`PRAGMA user_version = ${version}`);
    database.close();
  };
  setVersion(999);
  await expectCode(open(dir), 'journal_unreadable');
  setVersion(MIGRATIONS.length);
  const { journal: later } = await openJournal(dir);
  expect((await find(later, id)).status).toBe('queued');
});

it('a file that is no journal is refused, and the folder is free again', async () => {
  const dir = await temporaryDir();
  await mkdir(dir, { recursive: true });
  const file = join(dir, 'journal.db');
  await writeFile(file, 'this is a text file, and not a short one either '.repeat(100));
  await expectCode(open(dir), 'journal_unreadable');
  await rm(file);
  const { journal } = await openJournal(dir);
  await accept(journal);
});

it('errors name no folder', async () => {
  const { dir } = await openJournal();
  const error: unknown = await open(dir).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  if (error instanceof Error) expect(error.message).not.toContain(dir);
});
