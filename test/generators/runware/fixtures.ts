import { onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/config/secrets.ts';
import type { UpstreamOutcome } from '../../../src/generators/remote/exchange.ts';
import { createUpstreamHttp } from '../../../src/generators/remote/http.ts';
import { RunwareGenerator } from '../../../src/generators/runware/runware-generator.ts';
import type { Clock } from '../../../src/render/clock.ts';
import { systemClock } from '../../../src/render/clock.ts';
import type { RunwareServer, RunwareServerOptions } from '../../fakes/runware-server.ts';
import { RUNWARE_KEY, startRunwareServer } from '../../fakes/runware-server.ts';

/** Options of `runwareGenerator`. */
export interface RunwareFixtureOptions {
  /** Keys of `[runware]` that a test changes. */
  readonly config?: Partial<Config['runware']>;
  /** Time of looks and pauses; the real one unless a test lets them pass. */
  readonly clock?: Clock;
}

/** A generator at the fake, not started, and the outcomes of its requests. */
export function runwareGenerator(server: Pick<RunwareServer, 'baseUrl'>, options: RunwareFixtureOptions = {}) {
  const { config = {}, clock = systemClock } = options;
  const outcomes: UpstreamOutcome[] = [];
  const generator = new RunwareGenerator({
    config: configSchema.parse({
      runware: { base_url: server.baseUrl, controlnet_model: 'runware:27@1', poll_s: 0.05, ...config },
    }).runware,
    key: { key: new Secret(RUNWARE_KEY) },
    // The limits of requests run by the real time, as the requests do.
    http: createUpstreamHttp({
      generator: 'runware',
      provider: 'Runware',
      clock: systemClock,
      observe: ({ outcome }) => outcomes.push(outcome),
    }),
    clock,
  });
  onTestFinished(() => generator.close());
  return Object.assign(generator, { outcomes });
}

/** The fake, and a generator for it that is ready; both end with the test. */
export async function startRunware(options: RunwareFixtureOptions & { readonly server?: RunwareServerOptions } = {}) {
  const server = await startRunwareServer(options.server);
  onTestFinished(() => server.close());
  const generator = runwareGenerator(server, options);
  await generator.start();
  return { server, generator };
}
