import type { ImageServerOptions, ImageServerService } from '../../../src/app.ts';
import { startImageServer } from '../../../src/app.ts';
import { createLog } from '../../../src/observe/log.ts';

/**
 * Our server, as every measurement has it; an error that it cannot go on after ends the process. Apart from `parts.ts`, so
 * that no baseline loads it. `logLevel` is `warn` by default.
 */
export function startOurs({
  logLevel = 'warn',
  ...options
}: Pick<ImageServerOptions, 'config' | 'secrets' | 'overrides'> & {
  readonly logLevel?: 'warn' | 'error';
}): Promise<ImageServerService> {
  return startImageServer({
    ...options,
    log: createLog({ level: logLevel, target: process.stdout, pretty: false }),
    nodeVersion: process.version,
    onFatal: (error) => {
      throw error;
    },
  });
}
