import { startImageServer } from '../../../src/app.ts';
import { createLog } from '../../../src/observe/log.ts';
import { runChild } from '../child.ts';
import { benchConfig, busAddresses, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const config = benchConfig(dir);
const server = await startImageServer({
  config: { ...config, bus: { ...config.bus, ...busAddresses(dir), enabled: true, outbox: 10_000 } },
  // The core comes and goes with each measurement, and the log would tell.
  log: createLog({ level: 'error', target: process.stdout, pretty: false }),
  nodeVersion: process.version,
  onFatal: (error) => {
    throw error;
  },
});

runChild({
  url: dir,
  async stop() {
    await server.stop();
    await remove();
  },
});
