import { onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/config/secrets.ts';
import { FalAIGenerator } from '../../../src/generators/fal/fal-generator.ts';
import type { UpstreamOutcome } from '../../../src/generators/remote/exchange.ts';
import { createUpstreamHttp } from '../../../src/generators/remote/http.ts';
import type { Clock } from '../../../src/render/clock.ts';
import { systemClock } from '../../../src/render/clock.ts';
import type { FalServer } from '../../fakes/fal-server.ts';

/** Keys of the three sections that a test changes. */
export interface FalChanges {
  readonly fal?: Partial<Config['fal']>;
  readonly fal_comfy?: Partial<Config['fal_comfy']>;
  readonly falai_lightning_i2i?: Partial<Config['falai_lightning_i2i']>;
}

/** Options of `falGenerator`. */
export interface FalFixtureOptions {
  /** Time of looks and pauses. */
  readonly clock: Clock;
  /** Time of the limits of requests; the real one unless a test lets them pass. */
  readonly httpClock?: Clock;
  readonly changes?: FalChanges;
}

/** A generator at the fake, not started, and the outcomes of its requests. */
export function falGenerator(server: Pick<FalServer, 'url' | 'key'>, options: FalFixtureOptions) {
  const { clock, httpClock = systemClock, changes = {} } = options;
  const outcomes: UpstreamOutcome[] = [];
  const generator = new FalAIGenerator({
    config: configSchema.parse({
      ...changes,
      fal: { base_url: server.url, upload_url: server.url, ...changes.fal },
    }),
    key: { key: new Secret(server.key) },
    http: createUpstreamHttp({
      generator: 'fal',
      provider: 'fal.ai',
      clock: httpClock,
      observe: ({ outcome }) => outcomes.push(outcome),
    }),
    clock,
  });
  onTestFinished(() => generator.close());
  return Object.assign(generator, { outcomes });
}
