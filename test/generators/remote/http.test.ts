import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import {
  cutShort,
  drip,
  failing,
  file,
  flood,
  hang,
  json,
  redirect,
  reset,
  truncated,
} from '../../fakes/scripted-upstream.ts';
import { ManualClock } from '../../manual-clock.ts';
import { acmeHttp, endless, startMute, startPlain } from './fixtures.ts';

const BYTES = Buffer.from('an image, or so');

describe('a request to a provider', () => {
  it('has its method, headers and body, asks for nothing packed, and gets the whole answer', async () => {
    const upstream = await startPlain(json({ fine: true }, 201, { 'x-id': '7' }));
    const http = acmeHttp();
    const answer = await http.exchange({
      method: 'POST',
      url: `${upstream.url}/jobs?a=1`,
      headers: { authorization: 'Key k' },
      body: '{"prompt":"é"}',
      signal: endless,
    });
    expect(answer.status).toBe(201);
    expect(answer.headers['x-id']).toBe('7');
    expect(String(Buffer.from(answer.body))).toBe('{"fine":true}');
    const [received] = upstream.requests;
    expect(received).toMatchObject({ method: 'POST', path: '/jobs?a=1' });
    expect(received?.headers).toMatchObject({ authorization: 'Key k', 'accept-encoding': 'identity' });
    expect(String(received?.body)).toBe('{"prompt":"é"}');
    expect(http.outcomes).toEqual(['ok']);
  });

  it('is reported once with what became of it', async () => {
    const outcomeOf = async (status: number) => {
      const upstream = await startPlain(failing(status));
      const http = acmeHttp();
      await http.exchange({ method: 'GET', url: upstream.url, signal: endless });
      return http.outcomes;
    };
    expect(await outcomeOf(401)).toEqual(['auth']);
    expect(await outcomeOf(404)).toEqual(['client_error']);
    expect(await outcomeOf(429)).toEqual(['rate_limited']);
    expect(await outcomeOf(503)).toEqual(['server_error']);
  });

  it('follows no redirect', async () => {
    const target = await startPlain(json({}));
    const upstream = await startPlain(redirect(target.url));
    const answer = await acmeHttp().exchange({ method: 'GET', url: upstream.url, signal: endless });
    expect(answer.status).toBe(302);
    expect(target.requests).toHaveLength(0);
  });

  it('ends at its time limit before the head of the answer, and in the middle of it', async () => {
    for (const behaviour of [hang(), drip(5)]) {
      const clock = new ManualClock();
      const upstream = await startPlain(behaviour);
      const http = acmeHttp(clock);
      const exchange = http.exchange({ method: 'GET', url: upstream.url, signal: endless, timeoutMs: 30_000 });
      exchange.catch(() => undefined);
      await upstream.received('any', 1);
      await clock.advance(30_000);
      await expect(exchange).rejects.toMatchObject({ code: 'upstream_timeout', retryable: true });
      expect(http.outcomes).toEqual(['timeout']);
      expect(clock.pending).toBe(0);
    }
  });

  it('ends with the reason of its signal wherever it is, and says nothing of that to the metrics but cancelled', async () => {
    const reason = new AppError('cancelled', 'Nobody waits.');
    for (const behaviour of [hang(), drip(5)]) {
      const upstream = await startPlain(behaviour);
      const http = acmeHttp();
      const stop = new AbortController();
      const exchange = http.exchange({ method: 'GET', url: upstream.url, signal: stop.signal });
      exchange.catch(() => undefined);
      await upstream.received('any', 1);
      stop.abort(reason);
      await expect(exchange).rejects.toBe(reason);
      expect(http.outcomes).toEqual(['cancelled']);
    }
    await expect(
      acmeHttp().exchange({ method: 'GET', url: 'http://127.0.0.1:1', signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });

  it('fails when fewer bytes come than were announced, and cannot see it where none were', async () => {
    const short = await startPlain(truncated(BYTES));
    const http = acmeHttp();
    const failure = await rejection(http.exchange({ method: 'GET', url: short.url, signal: endless }));
    expect(failure).toMatchObject({ code: 'upstream_failed', retryable: true });
    expect(http.outcomes).toEqual(['network']);

    const silent = await startPlain(cutShort(BYTES));
    const { body } = await acmeHttp().exchange({ method: 'GET', url: silent.url, signal: endless });
    expect(body).toHaveLength(Math.floor(BYTES.length / 2));
  });

  it('takes no more bytes than allowed, announced or not', async () => {
    const announced = await startPlain(file(BYTES));
    const http = acmeHttp();
    const small = { method: 'GET', signal: endless, maxBytes: 5 } as const;
    await expect(http.exchange({ ...small, url: announced.url })).rejects.toMatchObject({ code: 'invalid_output' });
    expect(http.outcomes).toEqual(['invalid']);

    const before = process.memoryUsage().rss;
    const endlessZeros = await startPlain(flood(2 ** 30));
    await expect(http.exchange({ method: 'GET', url: endlessZeros.url, signal: endless })).rejects.toMatchObject({
      code: 'invalid_output',
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
  });

  it('refuses packed answers, however often they are packed', async () => {
    const packed = await startPlain(json({}, 200, { 'content-encoding': Array(1000).fill('gzip').join(',') }));
    await expect(acmeHttp().exchange({ method: 'GET', url: packed.url, signal: endless })).rejects.toMatchObject({
      code: 'invalid_output',
    });
  });

  it('can be read as it comes, and left', async () => {
    const upstream = await startPlain(drip(5));
    const http = acmeHttp();
    const { status, body } = await http.open({ method: 'GET', url: upstream.url, signal: endless });
    expect(status).toBe(200);
    for await (const part of body) {
      expect(part.length).toBeGreaterThan(0);
      break;
    }
    expect(http.outcomes).toEqual(['cancelled']);
  });

  it('never repeats what the provider wrote', async () => {
    const upstream = await startPlain(failing(500));
    const { body, ...head } = await acmeHttp().exchange({ method: 'GET', url: upstream.url, signal: endless });
    expect(String(Buffer.from(body))).toContain('UPSTREAM-TEXT');
    expect(JSON.stringify(head)).not.toContain('UPSTREAM-TEXT');
  });
});

describe('a request that submits', () => {
  const submit = { method: 'POST', body: '{}', signal: endless, submits: true } as const;

  it('has an unknown outcome when it left and no whole answer came', async () => {
    for (const behaviour of [reset(), truncated(Buffer.from('{"request_id":"1"}'))]) {
      const upstream = await startPlain(behaviour);
      const failure = await rejection(acmeHttp().exchange({ ...submit, url: upstream.url }));
      expect(failure).toMatchObject({ code: 'outcome_unknown', retryable: false });
      expect(upstream.requests).toHaveLength(1);
    }
    const clock = new ManualClock();
    const silent = await startPlain(hang());
    const exchange = acmeHttp(clock).exchange({ ...submit, url: silent.url, timeoutMs: 1000 });
    exchange.catch(() => undefined);
    await silent.received('any', 1);
    await clock.advance(1000);
    await expect(exchange).rejects.toMatchObject({ code: 'outcome_unknown' });
  });

  it('has plainly failed when it could not leave', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const address = closed.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    closed.close();
    const failure = await rejection(acmeHttp().exchange({ ...submit, url: `http://127.0.0.1:${port}` }));
    expect(failure).toMatchObject({ code: 'upstream_failed', retryable: true });
  });

  it('gives up on a server that takes no connection', async () => {
    const mute = await startMute();
    const clock = new ManualClock();
    const exchange = acmeHttp(clock).exchange({ ...submit, url: mute.url });
    exchange.catch(() => undefined);
    await mute.accepted;
    await clock.advance(10_000);
    await expect(exchange).rejects.toMatchObject({ code: 'upstream_timeout', retryable: true });
  });
});

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'it was answered',
    (error) => error,
  );
}
