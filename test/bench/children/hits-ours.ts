import { runChild } from '../child.ts';
import { startOurs } from './ours.ts';
import { benchConfig, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const server = await startOurs({
  config: benchConfig(dir),
});
runChild({
  url: server.url,
  async stop() {
    await server.stop();
    await remove();
  },
});
