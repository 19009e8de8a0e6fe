import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { HealthReport } from '../../src/observe/health.ts';
import { createHealthFile } from '../../src/observe/health-file.ts';
import { localTimestamp } from '../../src/observe/local-timestamp.ts';
import type { PublishedEvent } from '../../src/render/hub.ts';
import { startApp, temporaryDir } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';

const NAIVE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}$/;
const naive = z.string().regex(NAIVE);
const status = z.enum(['healthy', 'warning', 'error', 'fatal', 'unknown']);

/** What the real health service reads, with nothing beside it. */
const healthFile = z.strictObject({
  service_name: z.literal('image-server'),
  overall_status: status,
  checks: z
    .array(
      z.strictObject({
        name: z.string(),
        status,
        message: z.string().nullable(),
        timestamp: naive,
        metadata: z.record(z.string(), z.unknown()),
      }),
    )
    .max(50),
  last_updated: naive,
  uptime: z.number().min(0),
  restart_count: z.int(),
  error_count: z.int(),
  messages_sent: z.int(),
  messages_received: z.int(),
  last_check: naive,
  message: z.string().optional(),
});

const KEYS = [
  'service_name',
  'overall_status',
  'checks',
  'last_updated',
  'uptime',
  'restart_count',
  'error_count',
  'messages_sent',
  'messages_received',
  'last_check',
];

async function read(path: string) {
  return healthFile.parse(JSON.parse(await readFile(path, 'utf8')));
}

async function start(options: { path?: string } = {}) {
  const path = options.path ?? join(await temporaryDir(), 'health', 'image_server.json');
  const clock = new ManualClock();
  const warnings: string[] = [];
  const parts: Record<string, HealthReport['parts'][string]> = { journal: { status: 'ok' } };
  const file = createHealthFile({
    path,
    report: async () => {
      const states = Object.values(parts).map(({ status: one }) => one);
      const worst = (['failed', 'degraded'] as const).find((one) => states.includes(one)) ?? 'ok';
      return { status: worst, version: '1', uptime_s: 0, parts };
    },
    tasks: async () => 3,
    clock,
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: (_, line) => warnings.push(line),
      error: () => undefined,
    },
  });
  onTestFinished(() => file.close());
  await file.start();
  /** Resolves once the file says so. */
  const until = async (holds: (content: z.infer<typeof healthFile>) => boolean) => {
    for (;;) {
      const content = await read(path);
      if (holds(content)) return content;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { path, clock, warnings, parts, file, until };
}

const failure = {
  owner: 'bus',
  door: 'bus',
  event: { type: 'RenderFailed', code: 'generator_failed', message: 'The generator failed.' },
  json: '',
} as PublishedEvent;

test('the file has the keys of Experimance in their order, naive local times and the checks of a start', async () => {
  const { path, clock } = await start();
  const content = await read(path);
  expect(Object.keys(content)).toEqual(KEYS);
  expect(content).toMatchObject({ overall_status: 'healthy', last_check: localTimestamp(clock.now()) });
  expect(content.checks.map(({ name }) => name)).toEqual([
    'service_initialization',
    'service_start',
    'periodic_health_check',
  ]);
  expect(content.checks[2]?.metadata).toEqual({ uptime: 0, state: 'ok', tasks_count: 3 });
  expect(await readFile(path, 'utf8')).toContain('\n  "overall_status": "healthy",\n');
});

test('times are those of a clock on the wall, without a zone', async () => {
  const zoned = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { localTimestamp } from ${JSON.stringify(new URL('../../src/observe/local-timestamp.ts', import.meta.url).href)};
       process.stdout.write(localTimestamp(Date.UTC(2026, 10, 22, 6, 24, 56, 8)));`,
    ],
    { env: { ...process.env, TZ: 'America/Toronto' } },
  );
  const [chunk] = await once(zoned.stdout, 'data');
  expect(String(chunk)).toBe('2026-11-22T01:24:56.008');
});

test('it is written every 30 s, with at most 50 checks', async () => {
  const { path, clock, until } = await start();
  for (let at = 0; at < 60; at += 1) {
    await clock.advance(30_000);
    await until(({ last_check }) => last_check === localTimestamp(clock.now()));
  }
  const { checks, uptime } = await read(path);
  expect([checks.length, uptime]).toEqual([50, 1800]);
  expect(checks.at(-1)?.timestamp).toBe(localTimestamp(clock.now()));
});

test('a fault shows at once, and is gone when it is over', async () => {
  const { parts, file, until } = await start();
  parts.bus = { status: 'degraded', reason: 'no core' };
  file.refresh();
  expect((await until(({ overall_status: now }) => now === 'warning')).message).toBe('bus: no core');
  parts.journal = { status: 'failed', reason: 'it cannot be written' };
  file.refresh();
  const { message } = await until(({ overall_status: now }) => now === 'error');
  expect(message).toBe('journal: it cannot be written; bus: no core');
  parts.journal = { status: 'ok' };
  parts.bus = { status: 'ok' };
  file.refresh();
  expect(await until(({ overall_status: now }) => now === 'healthy')).not.toHaveProperty('message');
});

test('a render that fails is an error among the checks, and counted; messages are counted too', async () => {
  const { file, until } = await start();
  file.onBusMessage({ direction: 'in', outcome: 'accepted' });
  file.onBusMessage({ direction: 'out', outcome: 'sent' });
  file.onBusMessage({ direction: 'out', outcome: 'dropped' });
  file.onEvent(failure);
  const content = await until(({ error_count }) => error_count === 1);
  expect(content).toMatchObject({ overall_status: 'healthy', messages_sent: 1, messages_received: 1 });
  expect(content.checks.at(-1)).toMatchObject({
    name: 'service_error',
    status: 'error',
    message: 'The generator failed.',
    metadata: { error_type: 'generator_failed', is_fatal: false, error_count: 1 },
  });
});

test('a service that has stopped says so, whatever was being looked at meanwhile', async () => {
  const { file, path, parts } = await start();
  parts.bus = { status: 'failed', reason: 'closed' };
  file.refresh();
  await file.close();
  const { checks, overall_status, message } = await read(path);
  expect(message).toBe('the server has stopped');
  expect(checks.slice(-2).map(({ name, status: one }) => [name, one])).toEqual([
    ['service_stop', 'healthy'],
    ['service_stopped', 'warning'],
  ]);
  expect(overall_status).toBe('warning');
});

test('a folder that cannot be made costs one line of the log, and the file comes when it can', async () => {
  const dir = await temporaryDir();
  const path = join(dir, 'health', 'image_server.json');
  await writeFile(join(dir, 'health'), 'in the way');
  const { clock, warnings } = await start({ path });
  await clock.advance(60_000);
  expect(warnings).toEqual(['The health file cannot be written']);
  await rm(join(dir, 'health'));
  await mkdir(join(dir, 'health'));
  await clock.advance(30_000);
  while (!(await readFile(path).catch(() => undefined))) await new Promise((resolve) => setImmediate(resolve));
  expect((await read(path)).overall_status).toBe('healthy');
});

test('it is whole each of 10 000 times that it is read while it is written', async () => {
  const { file, path } = await start();
  let writing = true;
  const writer = (async () => {
    while (writing) {
      file.onEvent(failure);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  let newest = 0;
  for (let at = 0; at < 10_000; at += 1) {
    const { error_count } = JSON.parse(await readFile(path, 'utf8'));
    expect(error_count).toBeGreaterThanOrEqual(newest);
    newest = error_count;
  }
  writing = false;
  await writer;
  expect(newest).toBeGreaterThan(100);
});

test('the server keeps it from its start to its end', async () => {
  const path = join(await temporaryDir(), 'image_server.json');
  const app = await startApp({ config: { health: { file: path } } });
  let content = await read(path);
  while (content.overall_status !== 'healthy') content = await read(path);
  expect(content.error_count).toBe(0);
  await app.stop();
  expect((await read(path)).checks.at(-1)).toMatchObject({ name: 'service_stopped' });
});
