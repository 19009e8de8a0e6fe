import { z } from 'zod';
import type { HealthReport } from '../messages/health.ts';
import { healthReport } from '../messages/health.ts';
import type { CancelOutcome, GeneratorResource, RenderResource } from '../messages/render.ts';
import { cancelOutcome, generatorResource, renderResource } from '../messages/render.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import { errorOf, readJson } from './answers.ts';
import { ClientError } from './client-error.ts';
import { openEventStream } from './event-stream.ts';
import type { StreamMessage } from './stream-messages.ts';

/** How long one call of `wait` asks the server to hold its answer, in ms: the longest that it grants. */
const WAIT_MS = 60_000;
/** Pause between looks at a render when something on the way does not let answers be held. */
const LOOK_MS = 500;

const cancelAnswer = z.object({ outcome: cancelOutcome, render: renderResource });
const generatorsAnswer = z.object({ generators: z.array(generatorResource) });

/** Options of `createClient`. */
export interface ClientOptions {
  /** Where the server is, as in `http://127.0.0.1:8080`; may have a path. */
  readonly server: string;
  /** Default: the platform's. */
  readonly fetch?: typeof fetch;
  readonly WebSocket?: typeof WebSocket;
}

/** What a call can be told. */
export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason; a render goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** What a call that can wait for a render's end can be told. */
export interface WaitOptions extends CallOptions {
  /** How long to wait for the end, in ms; the server grants 60 000. Default: not at all. */
  readonly waitMs?: number | undefined;
}

/** The bytes of an image. */
export interface ImageFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Media type, as in `image/png`. */
  readonly type: string;
}

/** The server, typed. Every call throws `ClientError`, or its signal's reason. */
export interface Client {
  /** Without a slash at the end. */
  readonly server: string;
  /** Asks for a render; resolves when it is accepted, or with `waitMs` when it is over or the time is. */
  render(request: RenderRequest, options?: WaitOptions): Promise<RenderResource>;
  /** A render by our id or the caller's `request_id`. */
  get(id: string, options?: WaitOptions): Promise<RenderResource>;
  /** Waits, for as long as it takes, until the render has ended; a failed one resolves too. */
  wait(id: string, options?: CallOptions): Promise<RenderResource>;
  cancel(id: string, options?: CallOptions): Promise<{ outcome: CancelOutcome; render: RenderResource }>;
  image(imageId: string, options?: CallOptions): Promise<ImageFile>;
  generators(options?: CallOptions): Promise<GeneratorResource[]>;
  /** How the parts are; resolves also when they are not well. */
  health(options?: CallOptions): Promise<HealthReport>;
  /**
   * Everything that happens from now on, `Hello` first. Connects at once; the loop ends with the signal, and throws
   * `unreachable` or `disconnected` when the connection ends: it does not connect again.
   */
  events(options?: CallOptions): AsyncGenerator<StreamMessage, void>;
}

/** Creates a client. Throws a TypeError when `server` is no URL. */
export function createClient(options: ClientOptions): Client {
  const server = new URL(options.server).href.replace(/\/+$/, '');
  const send = options.fetch ?? fetch;

  async function call<T>(path: string, init: RequestInit, read: (response: Response) => Promise<T>): Promise<T> {
    try {
      return await read(await send(`${server}${path}`, init));
    } catch (error) {
      if (init.signal?.aborted) throw init.signal.reason;
      if (error instanceof ClientError) throw error;
      throw new ClientError('unreachable', `The server at ${server} cannot be reached.`, {
        cause: error,
        retryable: true,
      });
    }
  }

  async function json<T>(path: string, schema: z.ZodType<T>, init: RequestInit = {}): Promise<T> {
    return await call(path, init, async (response) => {
      if (!response.ok) throw await errorOf(response);
      return await readJson(response, schema);
    });
  }

  return {
    server,

    render: (request, { waitMs, signal } = {}) =>
      json('/v1/renders', renderResource, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...prefer(waitMs) },
        body: JSON.stringify(request),
        signal: signal ?? null,
      }),

    get: (id, { waitMs, signal } = {}) =>
      json(renderPath(id), renderResource, { headers: prefer(waitMs), signal: signal ?? null }),

    async wait(id, { signal } = {}) {
      for (;;) {
        const { render, held } = await call(
          renderPath(id),
          { headers: prefer(WAIT_MS), signal: signal ?? null },
          async (response) => {
            if (!response.ok) throw await errorOf(response);
            return { render: await readJson(response, renderResource), held: response.headers.has(APPLIED) };
          },
        );
        if (render.finished_at !== undefined) return render;
        if (!held) await pause(LOOK_MS, signal);
      }
    },

    cancel: (id, { signal } = {}) =>
      json(`${renderPath(id)}/cancel`, cancelAnswer, {
        method: 'POST',
        signal: signal ?? null,
      }),

    image: (imageId, { signal } = {}) =>
      call(`/v1/images/${encodeURIComponent(imageId)}`, { signal: signal ?? null }, async (response) => {
        const type = response.headers.get('content-type') ?? '';
        if (!response.ok || !type.startsWith('image/')) throw await errorOf(response);
        return { bytes: new Uint8Array(await response.arrayBuffer()), type };
      }),

    async generators({ signal } = {}) {
      const answer = await json('/v1/generators', generatorsAnswer, { signal: signal ?? null });
      return answer.generators;
    },

    health: ({ signal } = {}) =>
      call('/health', { signal: signal ?? null }, async (response) => {
        if (!response.ok && response.status !== 503) throw await errorOf(response);
        return await readJson(response, healthReport);
      }),

    events: ({ signal } = {}) =>
      openEventStream({
        url: `${server.replace(/^http/, 'ws')}/v1/events`,
        WebSocket: options.WebSocket ?? WebSocket,
        signal,
      }),
  };
}

/** Says that the server held its answer as it was asked to. */
const APPLIED = 'preference-applied';

function renderPath(id: string): string {
  return `/v1/renders/${encodeURIComponent(id)}`;
}

function prefer(waitMs: number | undefined): Record<string, string> {
  return waitMs === undefined ? {} : { prefer: `wait=${Math.ceil(waitMs / 1000)}` };
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done);
  });
  signal?.throwIfAborted();
}
