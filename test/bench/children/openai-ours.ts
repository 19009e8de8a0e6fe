import { configSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/config/secrets.ts';
import { OPENAI_KEY } from '../../fakes/openai-server.ts';
import { runChild } from '../child.ts';
import { startOurs } from './ours.ts';
import { benchConfig, scratch } from './parts.ts';

const [, , baseUrl] = process.argv;
const { dir, remove } = await scratch();
const server = await startOurs({
  config: configSchema.parse({
    ...benchConfig(dir),
    openai: { base_url: baseUrl, model: 'compatible', concurrency: 64 },
  }),
  secrets: { openai: { key: new Secret(OPENAI_KEY) } },
});

runChild({
  url: server.url,
  async stop() {
    await server.stop();
    await remove();
  },
});
