import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { ImageServerService, Overrides } from '../src/app.ts';
import { startImageServer } from '../src/app.ts';
import type { Config } from '../src/config/schema.ts';
import { configSchema } from '../src/config/schema.ts';
import type { Secrets } from '../src/config/secrets.ts';
import type { AppError } from '../src/errors.ts';
import { createLog } from '../src/observe/log.ts';

/** A folder of its own for this test, removed after it. */
export async function temporaryDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'image-server-test-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Sections of the configuration, each with only the keys that a test cares about. */
export type ConfigChanges = { [S in keyof Config]?: Config[S] extends object ? Partial<Config[S]> : Config[S] };

/** Options of `startApp`. */
export interface StartAppOptions {
  readonly config?: ConfigChanges;
  readonly overrides?: Overrides;
  /** Keys of providers. */
  readonly secrets?: Secrets;
  /** Folder of journal and images; default: a temporary one. */
  readonly dir?: string;
}

/** A running server with what tests look at. */
export interface TestApp extends ImageServerService {
  readonly dir: string;
  /** Every line that it logged, as objects. */
  readonly lines: Record<string, unknown>[];
  readonly fatal: AppError[];
  /** Sends JSON, gets the answer with its body parsed. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Asks for a render and waits for its end. */
  render(body: Record<string, unknown>): Promise<Answer>;
  /** Connects to the event stream; resolves after `Hello`. */
  listen(): Promise<EventClient>;
}

/** An HTTP answer. `body` is parsed JSON when it is JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The shape is what the test asserts.
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** The real server on port 0 and temporary folders, without the bus; stopped after the test. */
export async function startApp({ config = {}, overrides, secrets = {}, dir }: StartAppOptions = {}): Promise<TestApp> {
  const root = dir ?? (await temporaryDir());
  const lines: Record<string, unknown>[] = [];
  const fatal: AppError[] = [];
  const service = await startImageServer({
    config: configSchema.parse({
      cache_dir: join(root, 'images'),
      data_dir: join(root, 'data'),
      ...config,
      http: { port: 0, drain_s: 1, ...config.http },
      bus: { enabled: false, events: `ipc://${join(root, 'events.sock')}`, ...config.bus },
      // A test that wants retries says so: they would only take time.
      generator: { retries: 0, ...config.generator },
      mock: { style: 'placeholder', ...config.mock },
    }),
    log: createLog({ level: 'debug', target: { write: (line) => lines.push(JSON.parse(line)) }, pretty: false }),
    nodeVersion: 'v0.0.0-test',
    secrets,
    onFatal: (error) => fatal.push(error),
    ...(overrides === undefined ? {} : { overrides }),
  });
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= service.stop();
    return stopped;
  };
  onTestFinished(stop);

  const call: TestApp['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    const content = isJson ? await response.json() : Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body: content };
  };
  return {
    ...service,
    dir: root,
    lines,
    fatal,
    stop,
    call,
    render: (body) => call('POST', '/v1/renders', body, { prefer: 'wait=60' }),
    listen: () => connect(`${service.url.replace('http', 'ws')}/v1/events`),
  };
}

/** A message of the event stream. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into messages of every shape
export type StreamMessage = any;

/** A WebSocket client that keeps what it got. */
export interface EventClient {
  readonly socket: WebSocket;
  readonly messages: StreamMessage[];
  /** Resolves with the first message, old or new, that `wanted` accepts. */
  until(wanted: (message: StreamMessage) => boolean): Promise<StreamMessage>;
  /** Resolves with the close code once the connection has ended. */
  readonly closed: Promise<number>;
}

/** Connects; resolves after the first message. The connection ends with the test. */
export async function connect(url: string, headers: Record<string, string> = {}): Promise<EventClient> {
  const socket = new WebSocket(url, { headers });
  onTestFinished(() => socket.terminate());
  const messages: StreamMessage[] = [];
  const watchers = new Set<() => void>();
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)));
    for (const watch of watchers) watch();
  });
  const until: EventClient['until'] = (wanted) =>
    new Promise((resolve, reject) => {
      const watch = () => {
        const found = messages.find(wanted);
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      void closed.then((code) => reject(new Error(`the connection ended with ${code}`)));
      watch();
    });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('message', () => resolve());
  });
  return { socket, messages, until, closed };
}
