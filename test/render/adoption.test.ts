import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { Journal } from '../../src/render/journal.ts';
import { createWorkNotes } from '../../src/render/work-notes.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import { temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { AT, accept, claim, find } from './journal-fixtures.ts';
import { startRunner } from './runner-fixtures.ts';
import { startStepped } from './service-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

const silent = () => undefined;

/** Folders of a server whose process died when all images of a work were stored, and their end was not journalled. */
async function died() {
  const dir = await temporaryDir();
  const { journal } = await openJournal(join(dir, 'data'));
  const store = await createFileImageStore({ dir: join(dir, 'images') });
  const warnings: string[] = [];
  const log = {
    debug: silent,
    info: silent,
    error: silent,
    warn: (_: object, line: string) => void warnings.push(line),
  };
  const notes = createWorkNotes({ journal, store, clock: new ManualClock(), steadyNow: () => AT, log });
  const render = await accept(journal, { generator: 'stepped', request: { prompt: 'a delta' }, timeoutMs: 100_000 });
  const { workId } = await claim(journal, 'stepped');
  const saved = await store.save(Buffer.from('not looked into'), 'png');
  const image = { imageId: saved.imageId, format: 'png', width: 64, height: 64, bytes: saved.bytes, seed: 7 } as const;
  const made = { images: [image], renderMs: 1200, storeMs: 30 };
  return { dir, journal, store, notes, render, workId, made, image, warnings };
}

describe('what was made when the process died', () => {
  it('is the render’s at the next start, and nothing is drawn again', async () => {
    const { dir, journal, notes, render, workId, made, image } = await died();
    await notes.keep(workId, made);
    await journal.close();
    const { renders, generator, app } = await startStepped({ dir });
    expect(await renders.get(render.id, 'ann')).toMatchObject({
      status: 'succeeded',
      images: [{ image_id: image.imageId, seed: 7 }],
      attempts: [{ outcome: 'succeeded' }],
      timings: { render_ms: 1200, store_ms: 30 },
    });
    await expect(renders.image(image.imageId)).resolves.toMatchObject({ bytes: image.bytes });
    expect(generator.calls).toEqual([]);
    expect(await readdir(join(dir, 'images', 'notes'))).toEqual([]);
    expect(app.lines.some(({ adopted }) => adopted === 1)).toBe(true);
  });

  it('is not, when its caller cancelled before', async () => {
    const { journal, notes, render, workId, made } = await died();
    await notes.keep(workId, made);
    const error = new AppError('cancelled', 'The render was cancelled.').toPublic();
    await journal.settle({ renderId: render.id, status: 'cancelled', error, at: 0 });
    expect(await notes.adopt()).toBe(0);
    expect((await find(journal, render.id)).status).toBe('cancelled');
  });

  it('goes, when not all of it was stored, or nobody waits for it any more', async () => {
    const { dir, journal, store, notes, render, workId, made, image } = await died();
    const missing = { ...image, imageId: 'f'.repeat(64) };
    await notes.keep(workId, { ...made, images: [image, missing] });
    const lonely = await store.save(Buffer.from('of another work'), 'png');
    await notes.keep('left-by-all', { ...made, images: [{ ...image, imageId: lonely.imageId }] });
    await journal.close();
    const { renders, generator } = await startStepped({ dir });
    for (const { imageId } of [image, lonely]) {
      while (await store.has(imageId, 'png')) await new Promise((resolve) => setImmediate(resolve));
    }
    (await generator.call(1)).finish();
    expect((await renders.wait(render.id, 'ann', 60_000)).status).toBe('succeeded');
  });

  it('is drawn again when a file is gone', async () => {
    const { dir, journal, store, notes, render, workId, made, image } = await died();
    await notes.keep(workId, made);
    await store.remove({ kind: 'image', ...image });
    await journal.close();
    const { renders, generator } = await startStepped({ dir });
    (await generator.call(1)).finish();
    expect((await renders.wait(render.id, 'ann', 60_000)).attempts).toMatchObject([
      { outcome: 'crashed' },
      { outcome: 'succeeded' },
    ]);
  });

  it.each([
    ['torn', (whole: string) => whole.slice(0, -9)],
    ['empty', () => ''],
    ['zeros, as after a power cut', (whole: string) => '\0'.repeat(whole.length)],
    ['of another form', () => '{"images":[],"renderMs":1,"storeMs":1}'],
    ['too large', (whole: string) => `${whole}${' '.repeat(70_000)}`],
  ])('is drawn again when the note of it is %s', async (_, spoil) => {
    const { journal, store, notes, render, workId, made, dir } = await died();
    await mkdir(join(dir, 'images', 'notes'), { recursive: true });
    await writeFile(join(dir, 'images', 'notes', `${workId}.json`), spoil(JSON.stringify(made)));
    expect(await notes.adopt()).toBe(0);
    expect((await find(journal, render.id)).status).toBe('running');
    expect(await store.readNote(workId)).toBeUndefined();
  });

  it('does not keep the server from starting, whatever lies among the notes', async () => {
    const { dir, journal, notes, workId, warnings } = await died();
    const folder = join(dir, 'images', 'notes');
    await mkdir(join(folder, `${workId}.json`), { recursive: true });
    await writeFile(join(folder, 'README'), 'mine');
    await writeFile(join(folder, 'gone.json'), '{}');
    await writeFile(join(folder, 'gone.json.part'), '{');
    expect(await notes.adopt()).toBe(0);
    expect(warnings).toEqual([]);
    expect((await readdir(folder)).toSorted()).toEqual([`${workId}.json`, 'README'].toSorted());
    await journal.close();
    const { generator } = await startStepped({ dir });
    await generator.call(1);
  });
});

describe('a note', () => {
  it('is gone once the journal has the end, whatever it was', async () => {
    const { submit, generator, watch, store, runner, journal } = await startRunner();
    const made = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', made.id);
    const failed = await submit();
    (await generator.call(2)).fail(new AppError('generator_failed', 'no paint'));
    await watch.until('RenderFailed', failed.id);
    generator.stopsOnAbort = false;
    const left = await submit();
    const step = await generator.call(3);
    const error = new AppError('cancelled', 'The render was cancelled.');
    await journal.settle({ renderId: left.id, status: 'cancelled', error: error.toPublic(), at: 0 });
    const stopped = runner.stop(left.workId, error);
    step.finish();
    await stopped;
    for (const { workId } of [made, failed, left]) expect(await store.readNote(workId)).toBeUndefined();
  });

  it('stays when the server stops before the journal takes the end, and nothing is drawn twice', async () => {
    const tried = Promise.withResolvers<void>();
    const { submit, generator, runner, store, journal, clock } = await startRunner({
      journal: (real): Journal => ({
        ...real,
        async finish() {
          tried.resolve();
          throw new AppError('storage_full', 'The disk is full.');
        },
      }),
    });
    const { id } = await submit();
    (await generator.call(1)).finish();
    await tried.promise;
    const drained = runner.drain(5000);
    await clock.advance(5000);
    await drained;
    expect((await find(journal, id)).status).toBe('running');
    const log = { debug: silent, info: silent, warn: silent, error: silent };
    expect(await createWorkNotes({ journal, store, clock, steadyNow: clock.now.bind(clock), log }).adopt()).toBe(1);
    expect((await find(journal, id)).status).toBe('succeeded');
  });

  it('that cannot be written or removed costs nobody the render', async () => {
    const { submit, generator, watch, lines } = await startRunner({
      store: (real) => ({
        ...real,
        writeNote: () => Promise.reject(new AppError('storage_failed', 'No.')),
        removeNotes: () => Promise.reject(new AppError('storage_failed', 'No.')),
      }),
    });
    const first = await submit();
    (await generator.call(1)).finish();
    await watch.until('ImageReady', first.id);
    await submit();
    await generator.call(2);
    // The next work may begin before the last one's note is to go.
    while (lines.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(lines.map(({ message }) => message)).toEqual([
      'a note of what is made could not be written',
      'a note of what was made could not be removed',
    ]);
  });
});

describe('a provider’s job', () => {
  it('is gone on with after any number of starts that end before they come to it', async () => {
    const dir = await temporaryDir();
    const first = await startStepped({ dir });
    const { render } = await first.submit();
    await (await first.generator.call(1)).hooks.onRemoteId('job-1');
    await first.stop();
    for (let start = 0; start < 2; start += 1) {
      const next = await startStepped({ dir });
      // It begins, and says nothing of the job.
      expect((await next.generator.call(1)).hooks.remoteId).toBe('job-1');
      await next.stop();
    }
    const last = await startStepped({ dir });
    const step = await last.generator.call(1);
    expect(step.hooks.remoteId).toBe('job-1');
    step.finish();
    expect((await last.renders.wait(render.id, 'ann', 60_000)).attempts.map(({ outcome }) => outcome)).toEqual([
      'released',
      'released',
      'released',
      'succeeded',
    ]);
  });
});

describe('what an attempt has cost', () => {
  it('is the render’s, and is told when it becomes known after the end', async () => {
    const { submit, generator, watch, renders, clock } = await startStepped({ config: { generator: { retries: 1 } } });
    const { render } = await submit();
    const first = await generator.call(1);
    first.fail(new AppError('upstream_failed', 'no paint'));
    await watch.untilCount('AttemptEnded', 1);
    await clock.advance(1000);
    const second = await generator.call(2);
    second.hooks.onCost(0.25);
    second.finish();
    await watch.until('ImageReady', render.id);
    expect((await renders.get(render.id, 'ann')).cost_usd).toBe(0.25);
    first.hooks.onCost(0.5);
    expect(await watch.until('CostKnown', render.id)).toMatchObject({
      attempt: 1,
      cost_usd: 0.5,
      generator: 'stepped',
    });
    expect(await renders.get(render.id, 'ann')).toMatchObject({
      cost_usd: 0.75,
      attempts: [{ cost_usd: 0.5 }, { cost_usd: 0.25 }],
    });
    expect(watch.events.filter(({ type }) => type === 'AttemptEnded')[1]).toMatchObject({ cost_usd: 0.25 });
  });
});
