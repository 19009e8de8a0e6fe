import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { goneSignal } from '../../src/transports/http/gone.ts';

/** A request that has come, and how its client leaves. */
async function ask() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
  const [, raw] = (await once(server, 'request')) as [unknown, ServerResponse];
  const left = once(raw, 'close');
  return { raw, left, leave: () => client.destroy() };
}

describe('the signal of an answer', () => {
  it('is aborted when its client goes', async () => {
    const { raw, left, leave } = await ask();
    const signal = goneSignal({ raw });
    expect(signal.aborted).toBe(false);
    leave();
    await left;
    expect(signal.aborted).toBe(true);
  });

  it('is aborted from the beginning when its client has gone before', async () => {
    const { raw, left, leave } = await ask();
    leave();
    await left;
    expect(goneSignal({ raw }).aborted).toBe(true);
  });

  it('is aborted when it has been given', async () => {
    const { raw, left, leave } = await ask();
    const signal = goneSignal({ raw });
    raw.end('done');
    await left;
    expect(signal.aborted).toBe(true);
    leave();
  });
});
