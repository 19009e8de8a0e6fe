import type { Agent, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
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
  /** Hears that it leaves: from then on it may have been taken. */
  onSent?(): void;
  /** Whether the host's name must lead to the open internet. */
  readonly publicOnly?: boolean;
}

/** What an exchange works with. */
export interface ExchangeParts {
  /** What messages call the provider. */
  readonly provider: string;
  readonly clock: Clock;
  /** Gives the connection. */
  readonly agent: Agent;
  /** Hears once how it went, and how many ms it took. */
  onEnd(outcome: UpstreamOutcome, ms: number): void;
}

/** One request on its way, until its end is reported. */
export interface Exchange {
  /** The head of the answer; rejects with what goes to `fail`. */
  readonly answered: Promise<IncomingMessage>;
  /** Reports the end; the first call counts. */
  end(outcome: UpstreamOutcome): void;
  /** Breaks off, unless it has ended. */
  leave(outcome?: 'ok' | 'cancelled'): void;
  /** Breaks off, reports, and says what to throw for `error`. */
  fail(error: unknown): unknown;
}

/** Most ms until a connection is ready. */
const CONNECT_MS = 10_000;

/**
 * Sends a request. Says afterwards whether it had left when it failed, for then a submit may have been taken: a connection
 * that was never ready carried nothing, and one that refused what was written to it carried no whole request.
 */
export function beginExchange(request: UpstreamRequest, parts: ExchangeParts): Exchange {
  const { provider, clock, agent, onEnd } = parts;
  const { signal, timeoutMs, submits = false, publicOnly = false } = request;
  const started = clock.elapsed();
  const limit = new AbortController();
  const timers = timeoutMs === undefined ? [] : [clock.after(timeoutMs, () => limit.abort(timedOut(provider)))];
  const ended = AbortSignal.any([signal, limit.signal]);
  const url = new URL(request.url);
  const options: RequestOptions = {
    method: request.method,
    headers: { accept: '*/*', 'accept-encoding': 'identity', ...request.headers },
    signal: ended,
    agent,
    ...(publicOnly ? { lookup: lookupPublic } : {}),
  };
  const call = url.protocol === 'https:' ? requestHttps(url, options) : requestHttp(url, options);
  let sent = false;
  let closed = false;
  call.once('socket', (socket) => {
    const connected = () => {
      sent = true;
      cancelConnect();
      request.onSent?.();
    };
    const cancelConnect = clock.after(CONNECT_MS, () => limit.abort(timedOut(provider)));
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
    onEnd(outcome, clock.elapsed() - started);
  };
  const leave = (outcome: 'ok' | 'cancelled' = 'cancelled') => {
    // What was read to its end has given its connection back.
    if (closed) return;
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
    if (submits && sent && !isRefusedWrite(error)) return { thrown: unknownOutcome(provider, error), outcome };
    if (limit.signal.aborted) return { thrown: limit.signal.reason, outcome };
    const message = `${provider} cannot be reached, or broke the connection off.`;
    return { thrown: new AppError('upstream_failed', message, { cause: error }), outcome };
  };
  return { answered, end, leave, fail };
}

/** What to throw when a submit left and its answer never came. */
export function unknownOutcome(provider: string, cause?: unknown): AppError {
  const message = `${provider} was asked for the image, but its answer never came: whether it took the work is unknown.`;
  return new AppError('outcome_unknown', message, cause === undefined ? {} : { cause });
}

function timedOut(provider: string): AppError {
  return new AppError('upstream_timeout', `${provider} did not answer in time.`);
}

/** Whether the system refused a part of the request, as it does after a reset: then the whole of it cannot have arrived. */
function isRefusedWrite(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'write';
}

function readyEvent(socket: Socket): 'secureConnect' | 'connect' {
  return socket instanceof TLSSocket ? 'secureConnect' : 'connect';
}
