import { SteppedGenerator } from '../../fakes/stepped-generator.ts';
import { runChild } from '../child.ts';
import { startOurs } from './ours.ts';
import { benchConfig, scratch } from './parts.ts';

// Its first work never ends, so that only the accepts cost anything.
const held = new SteppedGenerator('mock');
const { dir, remove } = await scratch();
const server = await startOurs({
  config: benchConfig(dir),
  overrides: { generators: new Map([['mock', held]]) },
});
runChild({
  url: server.url,
  async stop() {
    await server.stop();
    await remove();
  },
});
