import { onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/config/secrets.ts';
import { OpenAIGenerator } from '../../../src/generators/openai/openai-generator.ts';
import type { UpstreamOutcome } from '../../../src/generators/remote/exchange.ts';
import { createUpstreamHttp } from '../../../src/generators/remote/http.ts';
import type { Clock } from '../../../src/render/clock.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import type { OpenAIServer, OpenAIServerOptions } from '../../fakes/openai-server.ts';
import { OPENAI_KEY, startOpenAIServer } from '../../fakes/openai-server.ts';

/** Options of `openaiGenerator`. */
export interface OpenAIFixtureOptions {
  /** Keys of `[openai]` that a test changes. */
  readonly config?: Partial<Config['openai']>;
  /** Time of pauses; the real one unless a test lets them pass. */
  readonly clock?: Clock;
  readonly key?: string;
}

/** A generator at the fake, not started, and the outcomes of its requests. */
export function openaiGenerator(server: Pick<OpenAIServer, 'baseUrl'>, options: OpenAIFixtureOptions = {}) {
  const { config = {}, clock = systemClock, key = OPENAI_KEY } = options;
  const outcomes: UpstreamOutcome[] = [];
  const generator = new OpenAIGenerator({
    config: configSchema.parse({ openai: { base_url: server.baseUrl, ...config } }).openai,
    key: { key: new Secret(key) },
    // The limits of requests run by the real time, as the requests do.
    http: createUpstreamHttp({
      generator: 'openai',
      provider: 'OpenAI',
      clock: systemClock,
      observe: ({ outcome }) => outcomes.push(outcome),
    }),
    drawing: createImages({ maxPixels: 2 ** 24, maxBytes: 2 ** 26 }),
    clock,
  });
  onTestFinished(() => generator.close());
  return Object.assign(generator, { outcomes });
}

/** The fake, and a generator for it that is ready; both end with the test. */
export async function startOpenAI(options: OpenAIFixtureOptions & { readonly server?: OpenAIServerOptions } = {}) {
  const server = await startOpenAIServer(options.server);
  onTestFinished(() => server.close());
  const generator = openaiGenerator(server, options);
  await generator.start();
  return { server, generator };
}
