import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { ImageServerService } from '../../src/app.ts';
import { startImageServer } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/observe/log.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';

/** One server for all cases of a file. */
export interface SharedServer {
  readonly url: string;
  /** Renders when the case says so; its name is `stepped`. */
  readonly stepped: SteppedGenerator;
}

/** Starts the real server, without the bus, before the first case of this file and stops it after the last. */
export function sharedServer(): SharedServer {
  const stepped = new SteppedGenerator();
  let running: { service: ImageServerService; dir: string } | undefined;

  beforeAll(async () => {
    const dir = await mkdtemp(join(tmpdir(), 'image-server-test-'));
    const service = await startImageServer({
      config: configSchema.parse({
        cache_dir: join(dir, 'images'),
        data_dir: join(dir, 'data'),
        http: { port: 0, drain_s: 0 },
        bus: { enabled: false },
        generator: { retries: 0 },
        mock: { style: 'placeholder' },
      }),
      log: createLog({ level: 'fatal', target: process.stderr, pretty: false }),
      nodeVersion: 'v0.0.0-test',
      onFatal: (error) => {
        throw error;
      },
      overrides: { generators: new Map([['stepped', stepped]]) },
    });
    running = { service, dir };
  });
  afterAll(async () => {
    await running?.service.stop();
    if (running !== undefined) await rm(running.dir, { recursive: true });
  });
  return {
    stepped,
    get url() {
      return running?.service.url ?? '';
    },
  };
}
