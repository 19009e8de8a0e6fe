import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { exitCodeOf } from '../src/cli/failure.ts';
import { Secret } from '../src/config/secrets.ts';
import type { ErrorCode } from '../src/errors.ts';
import { AppError, asAppError, ERRORS } from '../src/errors.ts';
import { STATUS } from '../src/transports/http/problem.ts';
import { pythonRenderRequest, startCorePeer, startListener } from './fakes/core-peer.ts';
import type { FalRoute } from './fakes/fal-server.ts';
import { startFalServer } from './fakes/fal-server.ts';
import type { Behaviour } from './fakes/scripted-upstream.ts';
import { failing, html, rateLimited, redirect, reset } from './fakes/scripted-upstream.ts';
import { SteppedGenerator } from './fakes/stepped-generator.ts';
import { plainPng } from './generators/png.ts';
import type { ConfigChanges, TestApp } from './helper.ts';
import { startApp, temporaryDir } from './helper.ts';
import { launch, launchServer } from './launch.ts';
import { openSocket, rawProblem, send, sendRaw } from './transports/raw-http.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

/** A row of the table in docs/errors.md. */
interface Row {
  readonly code: string;
  readonly http: string;
  readonly retryable: string;
  readonly exit: string;
  readonly texts: readonly string[];
}

async function readTable(): Promise<Row[]> {
  const text = await readFile(join(import.meta.dirname, '..', 'docs', 'errors.md'), 'utf8');
  const lines = text.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) => {
    const [code = '', http = '', retryable = '', exit = '', ...texts] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    return { code: code.replaceAll('`', ''), http, retryable, exit, texts };
  });
}

/** Where a code can be seen: the outermost place that shows it. `exitCode` is the process's own. */
type Seen =
  | { readonly door: 'http'; readonly code: string; readonly status: number }
  | { readonly door: 'render'; readonly code: string }
  | { readonly door: 'bus'; readonly code: string }
  | { readonly door: 'start'; readonly code: string; readonly exitCode: number };

const http = ({ status, body }: { status: number; body: { code: string } }): Seen => ({
  door: 'http',
  status,
  code: body.code,
});

async function post(body: object, config: ConfigChanges = {}): Promise<Seen> {
  const app = await startApp({ config });
  return http(await app.call('POST', '/v1/renders', body));
}

async function get(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Seen> {
  const app = await startApp();
  return http(await app.call(method, path, undefined, headers));
}

async function startStepped(stepped = new SteppedGenerator()): Promise<{ app: TestApp; stepped: SteppedGenerator }> {
  const app = await startApp({
    config: { http: { drain_s: 30 }, generator: { strategy: 'stepped' }, queue: { max_length: 1 } },
    overrides: { generators: new Map([['stepped', stepped]]) },
  });
  return { app, stepped };
}

/** How a render ended. */
async function endOf(app: TestApp, id: string): Promise<Seen> {
  const { body } = await app.call('GET', `/v1/renders/${id}`, undefined, { prefer: 'wait=60' });
  return { door: 'render', code: body.error.code };
}

/** How a render ends whose generator says this. */
async function failedBy(code: ErrorCode): Promise<Seen> {
  const { app, stepped } = await startStepped();
  const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
  (await stepped.call(1)).fail(new AppError(code, 'The provider is in trouble.', { retryable: false }));
  return endOf(app, body.id);
}

/** How a render ends when fal.ai answers so. */
async function failedByFal(route: FalRoute, answer: Behaviour, changes: ConfigChanges['fal'] = {}): Promise<Seen> {
  const fal = await startFalServer();
  onTestFinished(() => fal.close());
  fal.always(route, answer);
  const app = await startApp({
    config: { generator: { strategy: 'fal', retries: 0 }, fal: { base_url: fal.url, poll_s: 0.05, ...changes } },
    secrets: { fal: { key: new Secret(fal.key) } },
  });
  const { body } = await app.call('POST', '/v1/renders', { prompt: 'a', width: 256, height: 256 });
  return endOf(app, body.id);
}

/** What a core hears of a message. */
async function onBus(message: object | string | Uint8Array): Promise<Seen> {
  const core = await startCorePeer();
  onTestFinished(() => core.close());
  await startApp({ config: { bus: { enabled: true, requests: core.requests, results: core.results } } });
  await core.send(message);
  const { type, code } = await core.next();
  expect(type).toBe('Alert');
  return { door: 'bus', code: String(code) };
}

/** Why a server does not start in a folder, and how the program ends for the same reason. */
async function startIn(dir: string, config: ConfigChanges, ...args: string[]): Promise<Seen> {
  const rejected: unknown = await startApp({ dir, config }).then(
    () => 'it started',
    (error) => error,
  );
  return { door: 'start', code: asAppError(rejected).code, exitCode: await exitIn(dir, ...args) };
}

/** The exit code of a program that cannot start. */
async function exitIn(dir: string, ...args: string[]): Promise<number> {
  const { ended, stderr } = launch(dir, ['serve', '--http.port', '0', '--bus.enabled', 'false', ...args]);
  const exitCode = Number(await ended);
  expect(stderr()).toMatch(/^image-server: [^\n]+\n$/);
  return exitCode;
}

/** A folder whose server was killed while it drew its only render, whose id is `killed`. */
async function killedDir(): Promise<string> {
  const dir = await temporaryDir();
  const server = await launchServer(dir, '--mock.delay_s', '3600');
  await send(`${server.url}/v1/renders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'a', request_id: 'killed' }),
  });
  await server.line('render started');
  server.child.kill('SIGKILL');
  await server.ended;
  return dir;
}

/** Uses up the numbers of the journal's tables: SQLite then is as full as on a full disk, on any machine. */
function fillJournal(dir: string): void {
  const database = new DatabaseSync(join(dir, 'data', 'journal.db'));
  database.exec('UPDATE sqlite_sequence SET seq = 9223372036854775807');
  database.close();
}

/** Makes each code happen for real. */
const PROVOKE = {
  async malformed_json() {
    const app = await startApp();
    return http(await app.call('POST', '/v1/renders', '{"prompt":'));
  },
  malformed_message: () => onBus('{"type":"RenderRequest"'),
  unsupported_message: () => onBus({ type: 'AudioRequest', request_id: 'a' }),
  message_too_large: () => onBus(Buffer.alloc(20 * 1024 * 1024 + 1, ' ')),
  invalid_request: () => post({ prompt: '' }),
  unknown_generator: () => post({ prompt: 'a', generator: 'none' }),
  unsupported_field: () => post({ prompt: 'a', style: 'oil' }),
  invalid_image: () => post({ prompt: 'a', depth_map: { image_data: 'AAAA' } }),
  uri_not_allowed: () => post({ prompt: 'a', depth_map: { uri: 'file:///etc/passwd' } }),
  async request_id_conflict() {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'a', request_id: 'once' });
    const seen = http(await app.call('POST', '/v1/renders', { prompt: 'b', request_id: 'once' }));
    (await stepped.call(1)).finish();
    return seen;
  },
  async unsupported_media_type() {
    const app = await startApp();
    return http(await app.call('POST', '/v1/renders', 'prompt=a', { 'content-type': 'text/plain' }));
  },
  body_too_large: () => post({ prompt: 'a'.repeat(2000) }, { http: { max_image_body_mb: 0.001 } }),
  async request_timeout() {
    const app = await startApp();
    app.http.server.headersTimeout = 1;
    const socket = await openSocket(app.url);
    const answered = once(socket, 'data');
    socket.write('GET / HTTP/1.1\r\n');
    const { status, code } = rawProblem(String(await answered));
    return http({ status, body: { code } });
  },
  bad_request: () => get('/v1/renders/%zz'),
  upgrade_required: () => get('/v1/events'),
  async forbidden_host() {
    const app = await startApp();
    const { status, code } = rawProblem(await sendRaw(app.url, 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n'));
    return http({ status, body: { code } });
  },
  forbidden_origin: () => get('/v1/renders', 'POST', { origin: 'https://evil.example' }),
  not_found: () => get('/nowhere'),
  method_not_allowed: () => get('/v1/renders', 'DELETE'),
  render_not_found: () => get('/v1/renders/none'),
  image_not_found: () => get(`/v1/images/${'0'.repeat(64)}`),
  async image_evicted() {
    const app = await startApp();
    const { body } = await app.render({ prompt: 'a', width: 64, height: 64 });
    await rm(body.images[0].uri.slice('file://'.length));
    return http(await app.call('GET', `/v1/images/${body.images[0].image_id}`));
  },
  async queue_full() {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'runs' });
    await stepped.call(1);
    await app.call('POST', '/v1/renders', { prompt: 'waits' });
    const seen = http(await app.call('POST', '/v1/renders', { prompt: 'too many' }));
    (await stepped.call(1)).finish();
    (await stepped.call(2)).finish();
    return seen;
  },
  async draining() {
    const { app, stepped } = await startStepped();
    await app.call('POST', '/v1/renders', { prompt: 'runs' });
    const step = await stepped.call(1);
    const client = await app.listen();
    const stopped = app.stop();
    await client.until(({ type }) => type === 'ServerDraining');
    const seen = http(await app.call('POST', '/v1/renders', { prompt: 'late' }));
    step.finish();
    await stopped;
    return seen;
  },
  // It has no key.
  generator_unavailable: () => post({ prompt: 'a', generator: 'fal' }),
  async storage_full() {
    const app = await startApp();
    await app.render({ prompt: 'a', width: 64, height: 64 });
    fillJournal(app.dir);
    return http(await app.call('POST', '/v1/renders', { prompt: 'b' }));
  },
  async storage_failed() {
    const app = await startApp();
    // A file where the store keeps what is not whole yet.
    await rm(join(app.dir, 'images', 'tmp'), { recursive: true });
    await writeFile(join(app.dir, 'images', 'tmp'), '');
    const image_data = plainPng([9, 9, 9]).toString('base64');
    return http(await app.call('POST', '/v1/renders', { prompt: 'a', depth_map: { image_data } }));
  },
  async generator_crashed() {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
    (await stepped.call(1)).fail(new AppError('generator_crashed', 'The process of the model has died.'));
    await app.call('GET', `/v1/renders/${body.id}`, undefined, { prefer: 'wait=60' });
    return endOf(app, body.id);
  },
  async generator_failed() {
    const dir = await temporaryDir();
    const images_dir = join(dir, 'shown');
    await mkdir(images_dir);
    await writeFile(join(images_dir, 'one.png'), plainPng([9, 9, 9], 64));
    const app = await startApp({ dir, config: { mock: { style: 'existing', images_dir } } });
    await rm(images_dir, { recursive: true });
    const { body } = await app.render({ prompt: 'a', width: 64, height: 64 });
    return { door: 'render', code: body.error.code };
  },
  async content_rejected() {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
    (await stepped.call(1)).fail(new AppError('content_rejected', 'The provider refuses this content.'));
    await app.call('GET', `/v1/renders/${body.id}`, undefined, { prefer: 'wait=60' });
    return endOf(app, body.id);
  },
  upstream_failed: () => failedByFal('submit', failing(500)),
  upstream_rate_limited: () => failedByFal('submit', rateLimited()),
  upstream_auth: () => failedByFal('submit', failing(401)),
  upstream_timeout: () => failedBy('upstream_timeout'),
  outcome_unknown: () => failedByFal('submit', reset()),
  invalid_output: () => failedByFal('file', html()),
  unsafe_result_url: () => failedByFal('file', redirect('http://127.0.0.1:1/')),
  result_expired: () => failedByFal('file', failing(404)),
  spend_limit: () => failedByFal('submit', failing(500), { daily_spend_usd: 0 }),
  async queue_timeout() {
    const { app, stepped } = await startStepped();
    const first = await app.call('POST', '/v1/renders', { prompt: 'a' });
    await stepped.call(1);
    const second = await app.render({ prompt: 'b', queue_timeout_s: 0.01 });
    (await stepped.call(1)).finish();
    expect(first.status).toBe(202);
    return { door: 'render', code: second.body.error.code };
  },
  async idempotency_key_conflict() {
    const app = await startApp();
    const key = { 'idempotency-key': 'one' };
    await app.call('POST', '/v1/renders', { prompt: 'a' }, key);
    return http(await app.call('POST', '/v1/renders', { prompt: 'b' }, key));
  },
  async render_timeout() {
    const { app } = await startStepped();
    const { body } = await app.render({ prompt: 'a', timeout_s: 0.01 });
    return { door: 'render', code: body.error.code };
  },
  async cancelled() {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
    await stepped.call(1);
    await app.call('POST', `/v1/renders/${body.id}/cancel`);
    return endOf(app, body.id);
  },
  async superseded() {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'old' });
    await stepped.call(1);
    await app.call('POST', '/v1/renders', { prompt: 'new', clear_queue: true });
    const seen = await endOf(app, body.id);
    (await stepped.call(2)).finish();
    return seen;
  },
  async crashed() {
    const dir = await killedDir();
    const app = await startApp({ dir, config: { generator: { crash_attempts: 1 } } });
    return endOf(app, 'killed');
  },
  async internal() {
    const { app, stepped } = await startStepped();
    const { body } = await app.call('POST', '/v1/renders', { prompt: 'a' });
    (await stepped.call(1)).fail(new TypeError('x is not a function'));
    return endOf(app, body.id);
  },
  async outbox_overflow() {
    const core = await startCorePeer();
    onTestFinished(() => core.close());
    const dir = await temporaryDir();
    const images = `ipc://${join(dir, 'images.sock')}`;
    const results = `ipc://${join(dir, 'nobody.sock')}`;
    await startApp({
      config: { bus: { enabled: true, requests: core.requests, results, images, alerts: 'publish', outbox: 1 } },
    });
    const listener = startListener(images);
    onTestFinished(() => listener.close());
    for (const id of ['a', 'b', 'c']) await core.send(pythonRenderRequest({ request_id: id, width: 64, height: 64 }));
    const { code } = await listener.next(({ type }) => type === 'Alert');
    return { door: 'bus', code: String(code) };
  },
  config_invalid: async () =>
    startIn(await temporaryDir(), { generator: { strategy: 'none' } }, '--generator.strategy', 'none'),
  async port_in_use() {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = z.object({ port: z.int() }).parse(taken.address());
    return startIn(await temporaryDir(), { http: { port } }, '--http.port', String(port));
  },
  async data_dir_in_use() {
    const { dir } = await startApp();
    return startIn(dir, {});
  },
  async journal_unreadable() {
    const dir = await temporaryDir();
    await mkdir(join(dir, 'data'));
    await writeFile(join(dir, 'data', 'journal.db'), 'This is no database, and long enough to be one.'.repeat(100));
    return startIn(dir, {});
  },
} satisfies Record<ErrorCode, () => Promise<Seen>>;

/** Codes that answers of HTTP never have, because only the bus or the start of the program meets what they tell of. */
const NOT_OF_HTTP: readonly ErrorCode[] = [
  'malformed_message',
  'unsupported_message',
  'message_too_large',
  'outbox_overflow',
  'config_invalid',
  'port_in_use',
  'data_dir_in_use',
  'journal_unreadable',
];

describe('every code', () => {
  it('has one row in docs/errors.md, in the same order', async () => {
    const rows = await readTable();
    expect(rows.map(({ code }) => code)).toEqual(CODES);
    for (const { code, texts } of rows) {
      expect(texts, code).toHaveLength(2);
      for (const text of texts) expect(text, code).toMatch(/^[A-Z`].*\.$/);
    }
  });

  it('is as retryable and has the status and the exit code that its row says', async () => {
    const rows = new Map((await readTable()).map((row) => [row.code, row]));
    expect(Object.keys(STATUS)).toEqual(CODES);
    for (const code of CODES) {
      const row = rows.get(code);
      expect(row?.retryable, code).toBe(ERRORS[code].retryable ? 'yes' : 'no');
      const isOfHttp = !NOT_OF_HTTP.includes(code);
      expect(row?.http, code).toMatch(isOfHttp ? /^(200 \/ )?\d{3}$/ : /^–$/);
      expect(Number(isOfHttp ? row?.http.slice(-3) : 500), code).toBe(STATUS[code]);
      expect(Number(row?.exit.replace('–', '1')), code).toBe(exitCodeOf(new AppError(code, 'x')));
    }
  });

  it.each(CODES)('can happen: %s', async (code) => {
    const row = (await readTable()).find((one) => one.code === code);
    const seen: Seen = await PROVOKE[code]();
    expect(seen.code).toBe(code);
    if (seen.door === 'http') expect(seen.status).toBe(Number(row?.http));
    if (seen.door === 'render') expect(row?.http).toMatch(/^200 \/ /);
    if (seen.door === 'start') expect(seen.exitCode).toBe(Number(row?.exit));
    if (seen.door === 'bus' || seen.door === 'start') expect(row?.http).toBe('–');
  });
});

describe('a disk that is full', () => {
  it('ends the program with 75 when it cannot even write what became of the last run', async () => {
    const dir = await killedDir();
    fillJournal(dir);
    const seen = await startIn(dir, { generator: { crash_attempts: 1 } }, '--generator.crash_attempts', '1');
    expect(seen).toEqual({ door: 'start', code: 'storage_full', exitCode: 75 });
  });
});

describe('an error', () => {
  it('shows its code, its message and whether to try again, and keeps its cause to itself', () => {
    const error = new AppError('storage_failed', 'It failed.', { cause: new Error('/secret') });
    expect(error.toPublic()).toEqual({ code: 'storage_failed', message: 'It failed.', retryable: true });
    expect(new AppError('internal', 'x', { retryable: false }).toPublic().retryable).toBe(false);
    expect(asAppError(error)).toBe(error);
    const unknown = asAppError('thrown text');
    expect(unknown).toMatchObject({ code: 'internal', cause: 'thrown text' });
    expect(unknown.message).not.toContain('thrown text');
  });

  it('has a title of its own for each code', () => {
    const titles = Object.values(ERRORS).map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });

  it('on the bus is told in the words of REST', async () => {
    const seen = await onBus(pythonRenderRequest({ request_id: 'a', generator: 'none' }));
    expect(seen.code).toBe('unknown_generator');
  });
});
