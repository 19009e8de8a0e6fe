// Writes openapi/openapi.json from the routes: `npm run generate`, after each change of a route or a message.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startImageServer } from '../src/app.ts';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/observe/log.ts';

const dir = await mkdtemp(join(tmpdir(), 'image-server-openapi-'));
const server = await startImageServer({
  config: configSchema.parse({
    cache_dir: join(dir, 'images'),
    data_dir: join(dir, 'data'),
    http: { port: 0 },
    bus: { enabled: false },
  }),
  log: createLog({ level: 'silent', target: process.stdout, pretty: false }),
  nodeVersion: process.version,
  onFatal: (error) => {
    throw error;
  },
});
const document = `${JSON.stringify(server.http.swagger(), null, 2)}\n`;
await writeFile(join(import.meta.dirname, '..', 'openapi', 'openapi.json'), document);
await server.stop();
await rm(dir, { recursive: true });
