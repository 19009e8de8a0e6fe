import { onTestFinished } from 'vitest';
import { startModelServer } from '../../fakes/model-server.ts';
import { generatorConformance } from '../conformance.ts';
import { vastaiGenerator } from './fixtures.ts';

generatorConformance('VastAIGenerator', {
  reportsSteps: false,
  async create(clock) {
    const server = await startModelServer();
    onTestFinished(() => server.close());
    return vastaiGenerator(server, { clock });
  },
});
