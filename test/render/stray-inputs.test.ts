import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createStrayInputs } from '../../src/render/stray-inputs.ts';
import { createFileImageStore } from '../../src/store/file-image-store.ts';
import { solidPng } from '../fakes/solid-png.ts';
import { startApp, temporaryDir } from '../helper.ts';
import { launch } from '../launch.ts';
import { ManualClock } from '../manual-clock.ts';
import { startStepped } from './service-fixtures.ts';
import { openJournal } from './sqlite/open.ts';

const DAY_MS = 86_400_000;

/** Another image for each shade. */
async function imageData(shade: number): Promise<string> {
  return (await solidPng({ width: 8, height: 8 }, shade)).toString('base64');
}

/** Paths of the input images in a server's folder. */
async function inputsIn(dir: string): Promise<string[]> {
  const found = await readdir(join(dir, 'images', 'inputs'), { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

async function makeOld(path: string): Promise<void> {
  const then = (Date.now() - 2 * DAY_MS) / 1000;
  await utimes(path, then, then);
}

describe('input images of a request that is not taken', () => {
  it('go, and those of others stay', async () => {
    const { app, clock } = await startStepped();
    const depth = async (shade: number) => ({ depth_map: { image_data: await imageData(shade) } });
    const ask = (requests: object[]) => app.call('POST', '/v1/renders/batch', { requests });
    expect((await ask([{ prompt: 'a', ...(await depth(1)) }])).status).toBe(202);
    const [taken = ''] = await inputsIn(app.dir);
    const refused = await ask([
      { prompt: 'a', ...(await depth(1)) },
      { prompt: 'b', ...(await depth(2)) },
      { prompt: 'c', depth_map: { image_data: 'bm8gaW1hZ2U=' } },
    ]);
    expect(refused.body).toMatchObject({ status: 422, code: 'invalid_image' });
    const [lost = ''] = (await inputsIn(app.dir)).filter((path) => path !== taken);
    expect(existsSync(lost)).toBe(true);
    while (existsSync(lost)) await clock.advance(60_000);
    expect(await inputsIn(app.dir)).toEqual([taken]);
  });

  it('are those of whoever asks with them again', async () => {
    const { app, clock, generator } = await startStepped();
    const request = { prompt: 'a', depth_map: { image_data: await imageData(1) } };
    const bad = { prompt: 'b', depth_map: { image_data: 'bm8gaW1hZ2U=' } };
    expect((await app.call('POST', '/v1/renders/batch', { requests: [request, bad] })).status).toBe(422);
    expect((await app.call('POST', '/v1/renders', request)).status).toBe(202);
    (await generator.call(1)).finish();
    for (let rounds = 0; rounds < 5; rounds += 1) await clock.advance(120_000);
    expect(await inputsIn(app.dir)).toHaveLength(1);
  });
});

describe('an input image that nobody wants', () => {
  it('is left by a process that is killed before it accepts the request, and goes in the next one', async () => {
    const dir = await temporaryDir();
    const args = ['serve', '--http.port', '0', '--bus.enabled', 'false', '--data_dir', 'data', '--cache_dir', 'images'];
    const server = launch(dir, args);
    const { url } = await server.line('the server is ready');
    const post = async (path: string, body?: object) =>
      await fetch(`${url}${path}`, {
        method: 'POST',
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
    const request = async (shade: number) => ({
      prompt: 'a delta',
      depth_map: { image_data: await imageData(shade) },
      generator: 'mock',
      queue_timeout_s: 86_400,
    });
    await post('/v1/queue/pause');
    const accepted = await post('/v1/renders', await request(1));
    expect(accepted.status).toBe(202);
    const [kept = ''] = await inputsIn(dir);

    // While another program writes, nothing can be accepted.
    const other = new DatabaseSync(join(dir, 'data', 'journal.db'), { timeout: 5000 });
    other.exec('BEGIN IMMEDIATE');
    const cut = post('/v1/renders', await request(2)).catch(() => 'cut');
    while ((await inputsIn(dir)).length < 2) await new Promise((resolve) => setImmediate(resolve));
    server.child.kill('SIGKILL');
    await server.ended;
    other.close();
    expect(await cut).toBe('cut');
    const [stray = ''] = (await inputsIn(dir)).filter((path) => path !== kept);
    await Promise.all([kept, stray].map(makeOld));

    const clock = new ManualClock(Date.now());
    const app = await startApp({ dir, overrides: { clock } });
    expect((await app.call('GET', '/v1/renders')).body.renders).toHaveLength(1);
    expect(existsSync(stray)).toBe(true);
    while (existsSync(stray)) {
      await clock.advance(1000);
      // The server gets time to do what is due, and less passes until it has.
      await app.call('GET', '/health/live');
    }
    expect(await inputsIn(dir)).toEqual([kept]);
    await app.call('POST', '/v1/queue/resume');
    const [{ id }] = (await app.call('GET', '/v1/renders')).body.renders;
    const { body } = await app.call('GET', `/v1/renders/${id}`, undefined, { prefer: 'wait=30' });
    expect(body.status).toBe('succeeded');
  });

  /** A look at a folder with these files, `journal` doing what a test says. */
  async function startLooking(change: (real: Parameters<typeof createStrayInputs>[0]) => object = () => ({})) {
    const dir = await temporaryDir();
    const { journal } = await openJournal();
    const store = await createFileImageStore({ dir: join(dir, 'images') });
    const clock = new ManualClock(Date.now());
    const warnings: string[] = [];
    const silent = () => undefined;
    const log = { debug: silent, info: silent, error: silent, warn: (_: object, line: string) => warnings.push(line) };
    const parts = { journal, store, clock, log };
    const stop = createStrayInputs({ ...parts, ...change(parts) }).start();
    /** Lets the time pass until one more look is over. */
    const look = async (firstMs: number) => {
      await clock.advance(firstMs);
      for (let part = 0; part < 256; part += 1) {
        await journal.isPaused({});
        await clock.untilPending();
        await clock.advance(1000);
      }
    };
    return { dir, journal, store, clock, warnings, stop, look };
  }

  it('is given up once it has lain there for a day, and nothing else is', async () => {
    const { dir, journal, store, stop, look } = await startLooking();
    const [old, young] = await Promise.all(['old', 'young'].map((text) => store.saveInput(Buffer.from(text))));
    const pathOf = (name: string) => join(dir, 'images', 'inputs', name.slice(0, 2), name);
    await makeOld(pathOf(old?.imageId ?? ''));
    const odd = pathOf('no-image');
    await mkdir(join(odd, '..'), { recursive: true });
    await writeFile(odd, 'somebody put this here');
    await makeOld(odd);
    await mkdir(pathOf('f'.repeat(64)), { recursive: true });
    await look(600_000);
    expect(await journal.doomed({})).toEqual([{ kind: 'input', imageId: old?.imageId }]);
    await look(DAY_MS);
    expect((await journal.doomed({})).map(({ imageId }) => imageId).sort()).toEqual(
      [old?.imageId, young?.imageId].sort(),
    );
    await stop();
    expect(await readFile(odd, 'utf8')).toContain('somebody');
  });

  it('is looked for in a folder that is not there, and in the next one after a failure', async () => {
    let failures = 0;
    const { dir, store, journal, warnings, stop, look } = await startLooking(({ store: real }) => ({
      store: {
        ...real,
        listInputs: (part: string, before: number) => {
          if (part !== '00') return real.listInputs(part, before);
          failures += 1;
          return Promise.reject(new AppError('storage_failed', 'no'));
        },
      },
    }));
    const { imageId } = await store.saveInput(Buffer.from('old'));
    await makeOld(join(dir, 'images', 'inputs', imageId.slice(0, 2), imageId));
    await look(600_000);
    expect([failures, warnings.length]).toEqual([1, 1]);
    expect(await journal.doomed({})).toHaveLength(1);
    await rm(join(dir, 'images'), { recursive: true });
    await look(DAY_MS);
    expect(warnings).toHaveLength(2);
    await stop();
  });
});
