import { once } from 'node:events';
import type { Socket } from 'node:net';
import { beforeEach, describe, expect, it } from 'vitest';
import type { UpstreamHttp } from '../../../src/generators/remote/http.ts';
import type { Behaviour } from '../../fakes/scripted-upstream.ts';
import { json, reset } from '../../fakes/scripted-upstream.ts';
import { ManualClock } from '../../manual-clock.ts';
import { acmeHttp, endless, startPlain } from './fixtures.ts';

let clock: ManualClock;
let http: UpstreamHttp;

beforeEach(() => {
  clock = new ManualClock();
  http = acmeHttp(clock);
});

/** A server, and the connection of each request that it got. */
async function start(answer: Behaviour = json({})) {
  const connections: Socket[] = [];
  const upstream = await startPlain((response, request) => {
    if (response.socket !== null) connections.push(response.socket);
    answer(response, request);
  });
  const submit = () => http.exchange({ method: 'POST', url: upstream.url, body: '{}', signal: endless, submits: true });
  const read = () => http.exchange({ method: 'GET', url: upstream.url, signal: endless });
  const last = (): Socket => {
    const socket = connections.at(-1);
    if (socket === undefined) throw new Error('there was no request');
    return socket;
  };
  return { upstream, connections, submit, read, last, used: () => new Set(connections).size };
}

describe('a submit', () => {
  it('takes the connection of an earlier one that was idle for less than a second', async () => {
    const { submit, connections, used } = await start();
    await submit();
    await clock.advance(999);
    await submit();
    await clock.advance(999);
    await submit();
    expect([connections.length, used()]).toEqual([3, 1]);
  });

  it('gives its connection back when its answer was read to the end, although it is left as well', async () => {
    const { upstream, submit, used } = await start();
    const request = { method: 'POST', url: upstream.url, body: '{}', signal: endless, submits: true } as const;
    const { body, leave } = await http.open(request);
    for await (const part of body) expect(String(part)).toBe('{}');
    leave();
    await submit();
    expect(used()).toBe(1);
  });

  it('never takes one that was idle for longer, and lets go of it', async () => {
    const { submit, last, used } = await start();
    await submit();
    const closed = once(last(), 'close');
    await clock.advance(1000);
    await submit();
    await closed;
    expect(used()).toBe(2);
  });

  it('takes none that a request carried which is free to come too late', async () => {
    const { submit, read, used } = await start();
    await read();
    await submit();
    expect(used()).toBe(2);
  });

  it('takes none whose server announces that it waits no longer than a second', async () => {
    const { submit, used } = await start(json({}, 200, { connection: 'keep-alive', 'keep-alive': 'timeout=1' }));
    await submit();
    await submit();
    expect(used()).toBe(2);
  });

  it.each<[string, (connection: Socket) => void]>([
    ['closed', (connection) => connection.end()],
    ['reset', (connection) => connection.resetAndDestroy()],
  ])('does not go into a connection that the server has %s this very moment', async (_name, close) => {
    const { submit, connections, last, used } = await start();
    for (let round = 0; round < 20; round += 1) {
      await submit();
      close(last());
    }
    await submit();
    expect([connections.length, used()]).toEqual([21, 21]);
  });

  it('passes over closed connections to one that is open', async () => {
    const { submit, connections, used } = await start();
    await Promise.all([submit(), submit(), submit()]);
    const [open, ...others] = connections;
    for (const closed of others) closed.resetAndDestroy();
    await submit();
    expect(connections.at(-1)).toBe(open);
    expect(used()).toBe(3);
  });

  it('has plainly failed when the connection is reset before its first byte', async () => {
    const { submit, connections, last } = await start();
    await submit();
    const { elapsed } = clock;
    let asked = 0;
    clock.elapsed = () => {
      asked += 1;
      // The first question is how long the connection was idle: it is taken, and gone.
      if (asked === 1) last().resetAndDestroy();
      return elapsed.call(clock);
    };
    await expect(submit()).rejects.toMatchObject({ code: 'upstream_failed', retryable: true });
    expect(connections).toHaveLength(1);
  });

  it('has an unknown outcome when a connection that was idle breaks off after it, and is not repeated', async () => {
    let answers: Behaviour = json({});
    const { submit, connections, used } = await start((response, request) => answers(response, request));
    await submit();
    answers = reset();
    await expect(submit()).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect([connections.length, used()]).toEqual([2, 1]);
  });
});

describe('a request that may be repeated', () => {
  it('takes any connection that is there', async () => {
    const { read, connections, used } = await start();
    await read();
    await clock.advance(3_600_000);
    await read();
    expect([connections.length, used()]).toEqual([2, 1]);
  });
});

describe('idle connections', () => {
  it('go with the client', async () => {
    const { read, submit, connections } = await start();
    await Promise.all([read(), submit()]);
    const closed = connections.map((connection) => once(connection, 'close'));
    http.close();
    await Promise.all(closed);
    expect(closed).toHaveLength(2);
  });
});
