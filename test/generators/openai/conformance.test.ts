import { onTestFinished } from 'vitest';
import { startOpenAIServer } from '../../fakes/openai-server.ts';
import { generatorConformance } from '../conformance.ts';
import { openaiGenerator } from './fixtures.ts';

generatorConformance('OpenAIGenerator', {
  async create(clock) {
    const server = await startOpenAIServer({ paceMs: 40 });
    onTestFinished(() => server.close());
    return openaiGenerator(server, { clock });
  },
  side: 1024,
  reportsSteps: false,
  previewedImages: 1,
});
