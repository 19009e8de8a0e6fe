import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { temporaryDir } from '../helper.ts';
import { startServer } from './server.ts';

/** Opens a connection that is kept; resolves when the kernel has it, whether or not the server does. */
async function open(url: URL): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  // The server may end it at any time: that is what it is for.
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

it('with 128 descriptors, 300 connections are refused or wait, renders go on, and it recovers', async () => {
  const dir = await temporaryDir();
  const server = await startServer(dir, ['--mock.delay_s', '0.2'], ['prlimit', '--nofile=128', '--']);
  const ids = await Promise.all(Array.from({ length: 10 }, async () => (await server.submit()).body.id));
  const sockets = await Promise.all(Array.from({ length: 300 }, () => open(new URL(server.url))));
  const request = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
  for (const socket of sockets) if (!socket.destroyed) socket.write(request);
  // Nothing can be asked now: the log tells that work goes on while the connections that were taken are kept.
  await server.line('image ready');
  await vi.waitUntil(() => sockets.filter(({ readyState }) => readyState === 'closed').length > 200);
  expect(sockets.filter(({ readyState }) => readyState === 'open').length).toBeGreaterThan(0);
  for (const socket of sockets) socket.destroy();

  for (const id of ids) expect(await server.over(id)).toMatchObject({ status: 'succeeded' });
  await server.until('/health/ready', ({ status }) => status === 200);
  const after = (await server.submit()).body.id;
  expect(await server.over(after)).toMatchObject({ status: 'succeeded' });
  await server.endsOnce([...ids, after]);
});
