import { startImageServer } from '../../../src/app.ts';
import { createLog } from '../../../src/observe/log.ts';
import { SteppedGenerator } from '../../fakes/stepped-generator.ts';
import { runChild } from '../child.ts';
import { benchConfig, scratch } from './parts.ts';

// Its first work never ends, so that only the accepts cost anything.
const held = new SteppedGenerator('mock');
const { dir, remove } = await scratch();
const server = await startImageServer({
  config: benchConfig(dir),
  log: createLog({ level: 'warn', target: process.stdout, pretty: false }),
  nodeVersion: process.version,
  onFatal: (error) => {
    throw error;
  },
  overrides: { generators: new Map([['mock', held]]) },
});
runChild({
  url: server.url,
  async stop() {
    await server.stop();
    await remove();
  },
});
