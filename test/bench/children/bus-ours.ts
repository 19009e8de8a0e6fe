import { runChild } from '../child.ts';
import { startOurs } from './ours.ts';
import { benchConfig, busAddresses, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const config = benchConfig(dir);
const server = await startOurs({
  config: { ...config, bus: { ...config.bus, ...busAddresses(dir), enabled: true, outbox: 10_000 } },
  // The core comes and goes with each measurement, and the log would tell.
  logLevel: 'error',
});

runChild({
  url: dir,
  async stop() {
    await server.stop();
    await remove();
  },
});
