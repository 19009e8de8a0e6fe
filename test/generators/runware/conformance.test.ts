import { onTestFinished } from 'vitest';
import { startRunwareServer } from '../../fakes/runware-server.ts';
import { generatorConformance } from '../conformance.ts';
import { runwareGenerator } from './fixtures.ts';

generatorConformance('RunwareGenerator', {
  async create(clock) {
    const server = await startRunwareServer();
    onTestFinished(() => server.close());
    return runwareGenerator(server, { clock });
  },
  reportsSteps: false,
  samples: { loras: { loras: [{ path: 'civitai:132942@146296', scale: 0.8 }] } },
});
