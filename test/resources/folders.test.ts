import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { solidPng } from '../fakes/solid-png.ts';
import { temporaryDir } from '../helper.ts';
import type { Answer } from './server.ts';
import { launchBehind, startServer } from './server.ts';

/** Starts a program that rights count for: root is only as good as anybody without these two. */
const AS_ANYBODY =
  getuid?.() === 0
    ? ['setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--inh-caps', '-dac_override,-dac_read_search']
    : [];

/** Takes away, or gives back, the right to write below a folder. */
async function setWritable(dir: string, writable: boolean): Promise<void> {
  await chmod(dir, writable ? 0o755 : 0o555);
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), writable ? 0o755 : 0o555);
  }
}

const isReady = ({ status }: Answer) => status === 200;

describe('a folder that may not be written', () => {
  it.each(['cache_dir', 'data_dir'])('at the start ends the program with 78 and a sentence: %s', async (key) => {
    const dir = await temporaryDir();
    await chmod(dir, 0o555);
    onTestFinished(() => chmod(dir, 0o755));
    const other = await temporaryDir();
    const folders = { cache_dir: join(other, 'images'), data_dir: join(other, 'data'), [key]: join(dir, 'x') };
    const flags = Object.entries(folders).flatMap(([name, folder]) => [`--${name}`, folder]);
    const launched = launchBehind(AS_ANYBODY, other, flags);
    expect(await launched.ended).toBe(78);
    expect(launched.stderr()).toMatch(new RegExp(`^image-server: .*${key}.*\n$`));
  });

  it('later refuses renders, finishes what is drawn when it may be written again, and needs no restart', async () => {
    const dir = await temporaryDir();
    const server = await startServer(dir, ['--mock.delay_s', '1'], AS_ANYBODY);
    const images = join(dir, 'images');
    const { id } = (await server.submit()).body;
    await server.line('render started');
    await setWritable(images, false);
    onTestFinished(() => setWritable(images, true));
    await server.line('an image could not be stored; trying again');
    const refused = await server.submit();
    expect(refused).toMatchObject({ status: 507, body: { code: 'storage_failed' } });
    expect(JSON.stringify(refused.body)).not.toContain(dir);
    expect(await server.until('/health/ready', ({ status }) => status === 503)).toMatchObject({
      body: { reasons: ['store: images cannot be written'] },
    });

    await setWritable(images, true);
    expect(await server.over(id)).toMatchObject({ status: 'succeeded', attempts: [{ outcome: 'succeeded' }] });
    await server.until('/health/ready', isReady);
    const after = (await server.submit()).body.id;
    await server.over(after);
    await server.endsOnce([id, after]);
  });
});

describe('the folder of the images, deleted under load', () => {
  it('is made again: every render ends once, new images can be read, old ones are gone, and equal requests are drawn anew', async () => {
    const dir = await temporaryDir();
    const images = join(dir, 'images');
    const server = await startServer(dir, ['--mock.concurrency', '2']);
    const old = await server.over((await server.submit({ seed: 1 })).body.id);
    const ids = [old.id];
    const deletions: Promise<void>[] = [];
    for (let round = 0; round < 20; round += 1) {
      for (let each = 0; each < 5; each += 1) ids.push((await server.submit()).body.id);
      deletions.push(rm(images, { recursive: true, force: true, maxRetries: 10 }));
    }
    await Promise.all(deletions);
    for (const id of ids) expect(await server.over(id)).toMatchObject({ status: 'succeeded' });

    await rm(images, { recursive: true, force: true, maxRetries: 10 });
    const gone = await server.call('GET', `/v1/images/${old.images[0]?.image_id}`);
    expect(gone).toMatchObject({ status: 410, body: { code: 'image_evicted' } });
    const again = await server.over((await server.submit({ seed: 1 })).body.id);
    expect(again).toMatchObject({ status: 'succeeded', cached: false });
    expect(again.images[0]?.image_id).toBe(old.images[0]?.image_id);
    expect((await server.call('GET', `/v1/images/${again.images[0]?.image_id}`)).status).toBe(200);
    const cached = await server.over((await server.submit({ seed: 1 })).body.id);
    expect(cached).toMatchObject({ status: 'succeeded', cached: true });
    await server.endsOnce([...ids, again.id, cached.id]);
  });

  it('takes the input images of what waits along: it fails, and says what to do', async () => {
    const dir = await temporaryDir();
    const server = await startServer(dir, ['--mock.delay_s', '1']);
    const image_data = (await solidPng({ width: 64, height: 64 }, 7)).toString('base64');
    const first = (await server.submit()).body.id;
    const waiting = (await server.submit({ depth_map: { image_data } })).body.id;
    await rm(join(dir, 'images'), { recursive: true, force: true, maxRetries: 10 });
    expect(await server.over(first)).toMatchObject({ status: 'succeeded' });
    expect(await server.over(waiting)).toMatchObject({
      status: 'failed',
      error: {
        code: 'image_evicted',
        message: 'The depth_map of this render was deleted before it was drawn; send it again.',
      },
    });
    const again = (await server.submit({ depth_map: { image_data } })).body.id;
    expect(await server.over(again)).toMatchObject({ status: 'succeeded' });
    await server.endsOnce([first, waiting, again]);
  });
});

describe('the folder of the journal, deleted under load', () => {
  it('is written anew with everything in it: nothing is lost or doubled, not even by a kill', async () => {
    const dir = await temporaryDir();
    const data = join(dir, 'data');
    const server = await startServer(dir, ['--mock.concurrency', '2']);
    const ids: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (let each = 0; each < 5; each += 1) ids.push((await server.submit()).body.id);
      await rm(data, { recursive: true, force: true, maxRetries: 10 });
    }
    expect((await server.submit({ request_id: 'last' })).status).toBe(202);
    ids.push((await server.call('GET', '/v1/renders/last')).body.id);
    await server.line('somebody deleted the journal; it was written anew, with everything in it');
    expect((await server.call('GET', '/health/ready')).status).toBe(200);
    server.child.kill('SIGKILL');
    await server.ended;

    const again = await startServer(dir);
    for (const id of ids) expect(await again.over(id)).toMatchObject({ status: 'succeeded' });
    await again.endsOnce(ids);
  });

  it('is no longer ours when another journal lies there: nothing more is accepted', async () => {
    const dir = await temporaryDir();
    const data = join(dir, 'data');
    const first = await startServer(dir, ['--cache_dir', join(dir, 'first')]);
    await first.over((await first.submit()).body.id);
    await rm(data, { recursive: true, force: true, maxRetries: 10 });
    const second = await startServer(dir, ['--cache_dir', join(dir, 'second')]);
    expect(await first.submit()).toMatchObject({ status: 507, body: { code: 'storage_failed' } });
    expect((await first.call('GET', '/health/ready')).body.reasons).toEqual(['journal: it cannot be written']);
    const { id } = (await second.submit()).body;
    await second.over(id);
    await second.endsOnce([id]);
  });
});
