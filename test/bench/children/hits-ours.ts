import { startImageServer } from '../../../src/app.ts';
import { createLog } from '../../../src/observe/log.ts';
import { runChild } from '../child.ts';
import { benchConfig, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const server = await startImageServer({
  config: benchConfig(dir),
  log: createLog({ level: 'warn', target: process.stdout, pretty: false }),
  nodeVersion: process.version,
  onFatal: (error) => {
    throw error;
  },
});
runChild({
  url: server.url,
  async stop() {
    await server.stop();
    await remove();
  },
});
