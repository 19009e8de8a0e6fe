import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { createRefusalWatch } from '../../src/observe/refused-connections.ts';
import { startApp } from '../helper.ts';
import { ManualClock } from '../manual-clock.ts';

it('refused connections are counted one by one, and logged once a minute with their number', async () => {
  const clock = new ManualClock();
  const logged: object[] = [];
  const counted: string[] = [];
  const log = { debug() {}, info() {}, error() {}, warn: (fields: object) => void logged.push(fields) };
  const onRefused = createRefusalWatch({ count: () => void counted.push('one'), clock, log });
  for (let number = 0; number < 100; number += 1) onRefused();
  expect(logged).toEqual([{ refused: 1 }]);
  await clock.advance(59_999);
  onRefused();
  expect(logged).toHaveLength(1);
  await clock.advance(1);
  onRefused();
  expect(logged).toEqual([{ refused: 1 }, { refused: 101 }]);
  expect(counted).toHaveLength(102);
});

it('a connection beyond the limit is closed, and shows in the metrics', async () => {
  const app = await startApp();
  app.http.server.maxConnections = 1;
  const { hostname, port } = new URL(app.url);
  const [first, second] = [connect(Number(port), hostname), connect(Number(port), hostname)];
  await Promise.all([once(second.resume(), 'close'), once(first, 'connect')]);
  app.http.server.maxConnections = 100;
  const metrics = String((await app.call('GET', '/metrics')).body);
  expect(metrics).toMatch(/^image_server_http_connections_refused_total 1$/m);
  expect(app.lines).toContainEqual(expect.objectContaining({ refused: 1 }));
  first.destroy();
});
