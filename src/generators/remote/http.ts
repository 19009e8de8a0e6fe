import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import { lookupPublic } from './addresses.ts';

/** How one HTTP request to a provider went, for the metrics. */
export type UpstreamOutcome =
  | 'ok'
  | 'rate_limited'
  | 'auth'
  | 'client_error'
  | 'server_error'
  | 'timeout'
  | 'network'
  | 'invalid'
  | 'cancelled';

/** Hears of every request to a provider. */
export type ObserveUpstream = (seen: { generator: string; outcome: UpstreamOutcome; seconds: number }) => void;

/** Most bytes of an answer: 32 MiB, four times a large PNG. */
export const MAX_ANSWER_BYTES = 32 * 2 ** 20;

/** One request to a provider. */
export interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Spans the whole exchange, to the last byte. */
  readonly signal: AbortSignal;
  /** Most ms for the whole exchange; without it, only the signal ends it. */
  readonly timeoutMs?: number;
  /** Most bytes of the body that comes back; default 32 MiB. */
  readonly maxBytes?: number;
  /** Whether it asks for something that costs: when its answer never comes, nobody can know whether it was taken. */
  readonly submits?: boolean;
  /** Whether the host's name must lead to the open internet. */
  readonly publicOnly?: boolean;
}

/** The answer's head, and its body as it comes. */
export interface UpstreamStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Must be read to its end, or left; throws what `exchange` throws. */
  readonly body: AsyncGenerator<Uint8Array, void, undefined>;
  /** Ends the exchange although more may come: `ok` when what came is all that was wanted. */
  leave(outcome?: 'ok' | 'cancelled'): void;
}

/** A whole answer, of any status. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** The one way to providers: no redirects, no retries, no proxies of the environment, everything bounded. */
export interface UpstreamHttp {
  /**
   * Sends a request and reads its whole answer, whatever its status. Throws the signal's reason, `upstream_timeout`,
   * `upstream_failed` (the network), `invalid_output` (too large, or packed although nobody asked for that),
   * `unsafe_result_url`, and for a request that submits `outcome_unknown` when it left and no answer came.
   */
  exchange(request: UpstreamRequest): Promise<UpstreamAnswer>;
  /** The same with the body as it comes. */
  open(request: UpstreamRequest): Promise<UpstreamStream>;
  /** Lets go of idle connections. */
  close(): void;
}

/** Options of `createUpstreamHttp`. */
export interface UpstreamHttpOptions {
  /** Name of the generator, for the metrics. */
  readonly generator: string;
  /** What messages call the provider, as in `fal.ai`. */
  readonly provider: string;
  readonly clock: Clock;
  readonly observe: ObserveUpstream;
}

const CONNECT_MS = 10_000;

/** Creates the HTTP client of one provider. */
export function createUpstreamHttp({ generator, provider, clock, observe }: UpstreamHttpOptions): UpstreamHttp {
  // Of our own, since Node's global agents may be told by the environment to use a proxy.
  const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
  const idle = new Set([agents.http, agents.https]);

  async function open(request: UpstreamRequest): Promise<UpstreamStream> {
    request.signal.throwIfAborted();
    const exchange = begin(request);
    try {
      const answer = await exchange.answered;
      refuseUnreadable(answer, request.maxBytes ?? MAX_ANSWER_BYTES);
      return {
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        body: readBody(exchange, answer, request),
        leave: exchange.leave,
      };
    } catch (error) {
      throw exchange.fail(error);
    }
  }

  async function exchange(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { status, headers, body } = await open(request);
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    return { status, headers, body: Buffer.concat(parts) };
  }

  /** The body, counted; whoever leaves early leaves the connection as well. */
  async function* readBody(exchange: Exchange, answer: IncomingMessage, request: UpstreamRequest) {
    const { maxBytes = MAX_ANSWER_BYTES } = request;
    let bytes = 0;
    let complete = false;
    try {
      for await (const part of answer) {
        bytes += part.length;
        if (bytes > maxBytes) throw tooLarge(maxBytes);
        yield new Uint8Array(part);
      }
      complete = true;
    } catch (error) {
      throw exchange.fail(error);
    } finally {
      if (complete) exchange.end(outcomeOfStatus(answer.statusCode ?? 0));
      else exchange.leave();
    }
  }

  function begin(request: UpstreamRequest): Exchange {
    const { signal, timeoutMs, submits = false, publicOnly = false } = request;
    const started = clock.elapsed();
    const limit = new AbortController();
    const timers = timeoutMs === undefined ? [] : [clock.after(timeoutMs, () => limit.abort(timedOut()))];
    const ended = AbortSignal.any([signal, limit.signal]);
    const url = new URL(request.url);
    const secure = url.protocol === 'https:';
    const options: RequestOptions = {
      method: request.method,
      headers: { accept: '*/*', 'accept-encoding': 'identity', ...request.headers },
      signal: ended,
      // A connection that was idle may be closing just now, and nobody could say whether a submit got through.
      agent: submits ? false : secure ? agents.https : agents.http,
      ...(publicOnly ? { lookup: lookupPublic } : {}),
    };
    const call = secure ? requestHttps(url, options) : requestHttp(url, options);
    let sent = false;
    let closed = false;
    call.once('socket', (socket) => {
      const connected = () => {
        sent = true;
        cancelConnect();
      };
      const cancelConnect = clock.after(CONNECT_MS, () => limit.abort(timedOut()));
      timers.push(cancelConnect);
      if (socket.connecting) socket.once(readyEvent(socket), connected);
      else connected();
    });
    const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    call.once('response', resolve);
    // Stays for the whole exchange: an error after the answer reaches us through the answer as well.
    call.on('error', reject);
    call.end(request.body);

    const end = (outcome: UpstreamOutcome) => {
      if (closed) return;
      closed = true;
      for (const cancel of timers) cancel();
      observe({ generator, outcome, seconds: (clock.elapsed() - started) / 1000 });
    };
    const leave = (outcome: 'ok' | 'cancelled' = 'cancelled') => {
      end(outcome);
      call.destroy();
    };
    const fail = (error: unknown): unknown => {
      const { thrown, outcome } = explain(error);
      end(outcome);
      call.destroy();
      return thrown;
    };
    const explain = (error: unknown): { thrown: unknown; outcome: UpstreamOutcome } => {
      if (signal.aborted) return { thrown: signal.reason, outcome: 'cancelled' };
      if (error instanceof AppError) return { thrown: error, outcome: 'invalid' };
      const outcome = limit.signal.aborted ? 'timeout' : 'network';
      if (submits && sent) return { thrown: unknownOutcome(provider, error), outcome };
      if (limit.signal.aborted) return { thrown: limit.signal.reason, outcome };
      const message = `${provider} cannot be reached, or broke the connection off.`;
      return { thrown: new AppError('upstream_failed', message, { cause: error }), outcome };
    };
    return { answered, end, leave, fail };
  }

  function timedOut(): AppError {
    return new AppError('upstream_timeout', `${provider} did not answer in time.`);
  }

  function tooLarge(maxBytes: number): AppError {
    return new AppError('invalid_output', `${provider} sent more than ${maxBytes} bytes.`);
  }

  function refuseUnreadable({ headers }: IncomingMessage, maxBytes: number): void {
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity')
      throw new AppError('invalid_output', `${provider} sent packed data that was not asked for.`);
    if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  }

  return {
    exchange,
    open,
    close() {
      for (const agent of idle) agent.destroy();
    },
  };
}

interface Exchange {
  readonly answered: Promise<IncomingMessage>;
  /** Reports the end; the first call counts. */
  end(outcome: UpstreamOutcome): void;
  /** Breaks off what has not ended. */
  leave(outcome?: 'ok' | 'cancelled'): void;
  /** Breaks off, reports, and says what to throw for `error`. */
  fail(error: unknown): unknown;
}

/** What to throw when a submit left and its answer never came. */
export function unknownOutcome(provider: string, cause?: unknown): AppError {
  const message = `${provider} was asked for the image, but its answer never came: whether it took the work is unknown.`;
  return new AppError('outcome_unknown', message, cause === undefined ? {} : { cause });
}

/** The outcome of a request that was answered. */
export function outcomeOfStatus(status: number): UpstreamOutcome {
  if (status >= 500) return 'server_error';
  if (status === 429) return 'rate_limited';
  if (status === 401 || status === 402 || status === 403) return 'auth';
  if (status >= 400) return 'client_error';
  return status >= 200 && status < 300 ? 'ok' : 'invalid';
}

function readyEvent(socket: Socket): 'secureConnect' | 'connect' {
  return socket instanceof TLSSocket ? 'secureConnect' : 'connect';
}
