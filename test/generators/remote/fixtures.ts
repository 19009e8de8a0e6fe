import { once } from 'node:events';
import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';
import type { ObserveUpstream, UpstreamHttp } from '../../../src/generators/remote/http.ts';
import { createUpstreamHttp } from '../../../src/generators/remote/http.ts';
import type { Clock } from '../../../src/render/clock.ts';
import { systemClock } from '../../../src/render/clock.ts';
import type { Behaviour, ScriptedUpstream } from '../../fakes/scripted-upstream.ts';
import { startScriptedUpstream } from '../../fakes/scripted-upstream.ts';

/** A server that answers everything alike; ended after the test. */
export async function startPlain(answer: Behaviour): Promise<ScriptedUpstream<'any'>> {
  const upstream = await startScriptedUpstream(() => ({ name: 'any' as const, answer }));
  onTestFinished(() => upstream.close());
  return upstream;
}

/** The HTTP client of a provider named Acme, and the outcomes that it reported. */
export function acmeHttp(clock: Clock = systemClock): UpstreamHttp & { outcomes: string[] } {
  const outcomes: string[] = [];
  const observe: ObserveUpstream = ({ outcome }) => outcomes.push(outcome);
  const http = createUpstreamHttp({ generator: 'acme', provider: 'Acme', clock, observe });
  onTestFinished(() => http.close());
  return { ...http, outcomes };
}

/** A signal that nobody aborts. */
export const endless = new AbortController().signal;

/** A server by https that takes connections and never says a word, so that none becomes ready; ended after the test. */
export async function startMute(): Promise<{ url: string; accepted: Promise<unknown> }> {
  const server = createServer((socket) => onTestFinished(() => void socket.destroy()));
  onTestFinished(() => void server.close());
  const accepted = once(server, 'connection');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return { url: `https://127.0.0.1:${port}`, accepted };
}
