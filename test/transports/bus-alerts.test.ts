import { expect, test } from 'vitest';
import type { Alert } from '../../src/messages/bus.ts';
import { createOpenAlerts } from '../../src/transports/bus-alerts.ts';
import { ManualClock } from '../manual-clock.ts';

const about = (request_id: string | null): Alert => ({
  type: 'Alert',
  request_id,
  severity: 'error',
  code: 'generator_failed',
  message: 'x',
});

function start() {
  const clock = new ManualClock();
  const said: (string | null)[] = [];
  const alerts = createOpenAlerts({ clock, publish: ({ request_id }) => said.push(request_id) });
  return { clock, said, alerts };
}

test('an Alert is said at once and every 10 s until it is settled', async () => {
  const { clock, said, alerts } = start();
  alerts.open('a', about(null));
  await clock.advance(20_000);
  expect(said).toEqual([null, null, null]);
  alerts.settle('a');
  await clock.advance(20_000);
  expect(said).toHaveLength(3);
  expect(clock.pending).toBe(0);
});

test('an Alert about a request is news for a minute', async () => {
  const { clock, said, alerts } = start();
  alerts.open('a', about('r1'));
  await clock.advance(120_000);
  expect(said).toHaveLength(6);
  expect(clock.pending).toBe(0);
});

test('only the newest 32 are said again', async () => {
  const { clock, said, alerts } = start();
  for (let at = 0; at < 40; at += 1) alerts.open(`a${at}`, about(`r${at}`));
  said.length = 0;
  await clock.advance(10_000);
  expect(said).toHaveLength(32);
  expect(said[0]).toBe('r8');
});

test('nothing is said after closing', async () => {
  const { clock, said, alerts } = start();
  alerts.open('a', about(null));
  alerts.close();
  await clock.advance(60_000);
  expect(said).toHaveLength(1);
});
