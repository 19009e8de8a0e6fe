import { onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { createUpstreamHttp } from '../../../src/generators/remote/http.ts';
import { VastAIGenerator } from '../../../src/generators/vastai/vastai-generator.ts';
import type { Clock } from '../../../src/render/clock.ts';
import { systemClock } from '../../../src/render/clock.ts';

/** Options of `vastaiGenerator`. */
export interface VastAIFixtureOptions {
  readonly clock: Clock;
  /** Time of the limits of requests; the real one unless a test lets them pass. */
  readonly httpClock?: Clock;
  readonly changes?: Partial<Config['vastai']>;
}

/** A generator at the fake, not started; closed after the test. */
export function vastaiGenerator(server: { readonly url: string }, options: VastAIFixtureOptions): VastAIGenerator {
  const { clock, httpClock = systemClock, changes = {} } = options;
  const generator = new VastAIGenerator({
    config: configSchema.parse({ vastai: { base_url: server.url, ...changes } }).vastai,
    http: createUpstreamHttp({
      generator: 'vastai',
      provider: 'The model server',
      clock: httpClock,
      observe: () => {},
    }),
    clock,
  });
  onTestFinished(() => generator.close());
  return generator;
}
