import { describe, expect, it } from 'vitest';
import { createDiskWatch } from '../../src/observe/disk-watch.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';
import { parseExposition, sampleOf } from './exposition.ts';

const MIB = 2 ** 20;

/** A watch on two disks that have as much room as the test says. */
async function watching(warnMib = 100) {
  const clock = new ManualClock();
  const room: Record<string, number> = { '/images': 1000 * MIB, '/data': 1000 * MIB };
  const lines: [string, object, string][] = [];
  const say = (level: string) => (fields: object, message: string) => void lines.push([level, fields, message]);
  const state = { changes: 0 };
  const watch = createDiskWatch({
    folders: { cache: '/images', data: '/data' },
    async freeBytes(folder) {
      const bytes = room[folder];
      if (bytes === undefined) throw new Error(`EIO ${folder}`);
      return bytes;
    },
    warnBytes: warnMib * MIB,
    clock,
    log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
    onChange: () => {
      state.changes += 1;
    },
  });
  await watch.start();
  return { clock, room, lines, state, watch, parts: () => Object.fromEntries(watch.parts()) };
}

describe('the watch on the disks', () => {
  it('has nothing to say while there is room, and knows how much', async () => {
    const { watch, parts, lines, state } = await watching();
    expect(parts()).toEqual({ cache: { status: 'ok' }, data: { status: 'ok' } });
    expect([...watch.free()]).toEqual([
      ['cache', 1000 * MIB],
      ['data', 1000 * MIB],
    ]);
    expect([lines, state.changes]).toEqual([[], 0]);
  });

  it('degrades the disk that is nearly full, says so once, and recovers by itself', async () => {
    const { clock, room, parts, lines, state } = await watching();
    room['/images'] = 100 * MIB - 1;
    await clock.advance(10_000);
    expect(parts()).toEqual({
      cache: { status: 'degraded', reason: 'nearly full: 99 MiB are left' },
      data: { status: 'ok' },
    });
    room['/images'] = 3 * MIB;
    await clock.advance(60_000);
    expect(parts()).toMatchObject({ cache: { reason: 'nearly full: 3 MiB are left' } });
    expect(lines).toMatchObject([
      ['warn', { disk: 'cache', free_bytes: 100 * MIB - 1 }, expect.stringContaining('nearly full')],
    ]);

    room['/images'] = 500 * MIB;
    await clock.advance(10_000);
    expect(parts()).toMatchObject({ cache: { status: 'ok' } });
    expect(lines.slice(1)).toMatchObject([['info', { disk: 'cache' }, 'a disk has room again']]);
    expect(state.changes).toBe(2);
  });

  it('does not go to and fro with each image around the limit', async () => {
    const { clock, room, parts, lines } = await watching();
    for (const mib of [99, 101, 99, 109, 99]) {
      room['/data'] = mib * MIB;
      await clock.advance(10_000);
    }
    expect(parts()).toMatchObject({ data: { status: 'degraded' } });
    expect(lines).toHaveLength(1);
    room['/data'] = 111 * MIB;
    await clock.advance(10_000);
    expect(parts()).toMatchObject({ data: { status: 'ok' } });
  });

  it('degrades a disk that it cannot look at, shows no path, and has no figure for it', async () => {
    const { clock, room, watch, parts, lines } = await watching();
    delete room['/data'];
    await clock.advance(20_000);
    expect(parts()).toMatchObject({ data: { status: 'degraded', reason: 'its free space cannot be seen' } });
    expect([...watch.free()]).toEqual([['cache', 1000 * MIB]]);
    expect(lines).toHaveLength(1);
    room['/data'] = 1000 * MIB;
    await clock.advance(10_000);
    expect(parts()).toMatchObject({ data: { status: 'ok' } });
  });

  it('never warns when the limit is 0', async () => {
    const { clock, room, parts } = await watching(0);
    room['/images'] = 0;
    await clock.advance(10_000);
    expect(parts()).toMatchObject({ cache: { status: 'ok' } });
  });

  it('looks no more when it is stopped', async () => {
    const { clock, watch } = await watching();
    await watch.stop();
    expect(clock.pending).toBe(0);
  });
});

describe('a server with less room than it wants', () => {
  it('is degraded in /health, takes renders, and shows the room in /metrics', async () => {
    const app = await startApp({ config: { health: { warn_free_mb: 1_048_576 } } });
    const health = await app.call('GET', '/health');
    expect(health).toMatchObject({
      status: 200,
      body: {
        status: 'degraded',
        parts: { 'disk:cache': { status: 'degraded' }, 'disk:data': { status: 'degraded' } },
      },
    });
    expect(JSON.stringify(health.body)).not.toContain(app.dir);
    expect((await app.render({ prompt: 'x', width: 64, height: 64 })).body.status).toBe('succeeded');
    const samples = parseExposition(String((await app.call('GET', '/metrics')).body));
    for (const dir of ['cache', 'data']) {
      expect(sampleOf(samples, 'image_server_disk_free_bytes', { dir })).toBeGreaterThan(0);
    }
  });
});
