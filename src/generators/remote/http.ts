import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import { createConnections } from './connections.ts';
import type { Exchange, UpstreamOutcome, UpstreamRequest } from './exchange.ts';
import { beginExchange } from './exchange.ts';

/** Hears of every request to a provider. */
export type ObserveUpstream = (seen: { generator: string; outcome: UpstreamOutcome; seconds: number }) => void;

/** Most bytes of an answer: 32 MiB, four times a large PNG. */
export const MAX_ANSWER_BYTES = 32 * 2 ** 20;

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

/** Creates the HTTP client of one provider. */
export function createUpstreamHttp({ generator, provider, clock, observe }: UpstreamHttpOptions): UpstreamHttp {
  const connections = createConnections(clock);
  const onEnd = (outcome: UpstreamOutcome, ms: number) => observe({ generator, outcome, seconds: ms / 1000 });

  async function open(request: UpstreamRequest): Promise<UpstreamStream> {
    const { signal, submits = false } = request;
    signal.throwIfAborted();
    const { protocol } = new URL(request.url);
    const agent = submits ? await connections.forSubmits(protocol) : connections.forReads(protocol);
    signal.throwIfAborted();
    const exchange = beginExchange(request, { provider, clock, agent, onEnd });
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
        yield part;
      }
      complete = true;
    } catch (error) {
      throw exchange.fail(error);
    } finally {
      if (complete) exchange.end(outcomeOfStatus(answer.statusCode ?? 0));
      else exchange.leave();
    }
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
    close: connections.close,
  };
}

/** The outcome of a request that was answered. */
export function outcomeOfStatus(status: number): UpstreamOutcome {
  if (status >= 500) return 'server_error';
  if (status === 429) return 'rate_limited';
  if (status === 401 || status === 402 || status === 403) return 'auth';
  if (status >= 400) return 'client_error';
  return status >= 200 && status < 300 ? 'ok' : 'invalid';
}
