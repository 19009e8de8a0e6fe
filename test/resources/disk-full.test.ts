import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDir } from '../helper.ts';
import type { Answer, Server } from './server.ts';
import { startServer } from './server.ts';
import { smallDisk } from './small-disk.ts';

const isReady = ({ status }: Answer) => status === 200;

/** One render is drawn when the disk is full, one waits in the queue. */
async function fillWhileDrawing(server: Server, fill: () => Promise<void>): Promise<string[]> {
  const ids = [
    (await server.submit({ request_id: 'known', seed: 1 })).body.id,
    (await server.submit({ seed: 2 })).body.id,
  ];
  await server.line('render started');
  await fill();
  return ids;
}

describe('a full disk of the images', () => {
  it('refuses renders, keeps what is drawn until there is room, and loses and doubles nothing', async () => {
    const disk = await smallDisk(4);
    const dir = await temporaryDir();
    const server = await startServer(dir, ['--cache_dir', disk.dir, '--mock.delay_s', '1']);
    const ids = await fillWhileDrawing(server, disk.fill);
    await server.line('an image could not be stored; trying again');

    const refused = await server.submit();
    expect(refused).toMatchObject({ status: 507, body: { code: 'storage_full' } });
    expect(JSON.stringify(refused.body)).not.toContain(disk.dir);
    expect(await server.until('/health/ready', ({ status }) => status === 503)).toMatchObject({
      body: { ready: false, reasons: ['store: images cannot be written'] },
    });
    expect((await server.call('GET', `/v1/renders/${ids[0]}`)).body.status).toBe('running');
    expect((await server.call('GET', `/v1/renders/${ids[1]}`)).body.status).toBe('queued');
    // What was accepted once is answered all the same.
    expect(await server.submit({ request_id: 'known', seed: 1 })).toMatchObject({ status: 200, body: { id: ids[0] } });

    await disk.empty();
    for (const id of ids) {
      const render = await server.over(id);
      expect(render).toMatchObject({ status: 'succeeded', attempts: [{ outcome: 'succeeded' }] });
    }
    await server.until('/health/ready', isReady);
    const after = (await server.submit()).body.id;
    await server.over(after);
    await server.endsOnce([...ids, after]);
  });

  it('is told before it comes, and that it is over', async () => {
    const disk = await smallDisk(8);
    const args = ['--cache_dir', disk.dir, '--health.warn_free_mb', '4'];
    const server = await startServer(await temporaryDir(), args);
    expect((await server.call('GET', '/health')).body.parts['disk:cache']).toEqual({ status: 'ok' });
    await disk.fill();
    const isWarned = ({ body }: Answer) => body.parts['disk:cache'].status === 'degraded';
    const { body } = await server.until('/health', isWarned);
    expect(body.parts['disk:cache'].reason).toBe('nearly full: 0 MiB are left');
    await disk.empty();
    await server.until('/health', (answer) => !isWarned(answer));
    await server.line('a disk has room again');
  });
});

describe('a full disk of the journal', () => {
  it('refuses renders, keeps what is drawn until there is room, and loses and doubles nothing', async () => {
    const disk = await smallDisk(4);
    const dir = await temporaryDir();
    const data = join(disk.dir, 'data');
    const server = await startServer(dir, ['--data_dir', data, '--mock.delay_s', '1']);
    const ids = await fillWhileDrawing(server, disk.fill);
    // The log of SQLite may have some room left in what it has taken already.
    const accepted: string[] = [];
    for (;;) {
      const { status, body } = await server.submit({ metadata: { filler: 'x'.repeat(200) } });
      if (status === 202) accepted.push(body.id);
      else {
        expect({ status, code: body.code }).toEqual({ status: 507, code: 'storage_full' });
        break;
      }
    }
    expect(await server.until('/health/ready', ({ status }) => status === 503)).toMatchObject({
      body: { ready: false, reasons: ['journal: it cannot be written'] },
    });
    await server.line('the end of a render could not be written');
    expect((await server.call('GET', `/v1/renders/${ids[0]}`)).body.status).toBe('running');

    await disk.empty();
    for (const id of [...ids, ...accepted]) {
      const render = await server.over(id);
      expect(render).toMatchObject({ status: 'succeeded', attempts: [{ outcome: 'succeeded' }] });
    }
    await server.until('/health/ready', isReady);
    await server.endsOnce([...ids, ...accepted], data);
  });

  it('is survived by a kill: what was accepted before goes on when there is room', async () => {
    const disk = await smallDisk(4);
    const dir = await temporaryDir();
    const args = ['--data_dir', join(disk.dir, 'data')];
    const server = await startServer(dir, [...args, '--mock.delay_s', '3600']);
    const ids = await fillWhileDrawing(server, disk.fill);
    server.child.kill('SIGKILL');
    await server.ended;
    await disk.empty();
    const again = await startServer(dir, args);
    for (const id of ids) expect(await again.over(id)).toMatchObject({ status: 'succeeded' });
    await again.endsOnce(ids, join(disk.dir, 'data'));
  });
});
