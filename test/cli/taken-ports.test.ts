import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { refuseTakenPorts } from '../../src/cli/taken-ports.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { ConfigChanges } from '../helper.ts';

/** A port that somebody listens on until `letGo`, or until the test ends. */
async function takenPort(host = '127.0.0.1') {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, letGo: () => new Promise((resolve) => server.close(resolve)) };
}

const refuse = (config: ConfigChanges) => refuseTakenPorts(configSchema.parse(config));

it('names the port of HTTP that is taken, and takes it for itself no longer than the look', async () => {
  const { port, letGo } = await takenPort();
  const taken = `Port ${port} of 127.0.0.1 is taken by another process; see [http] port.`;
  await expect(refuse({ http: { port } })).rejects.toMatchObject({ code: 'port_in_use', message: taken });
  await letGo();
  await refuse({ http: { port } });
  await refuse({ http: { port } });
});

it.each([{ layout: 'pubsub' }, { alerts: 'publish' }, { alerts: 'both' }] as const)(
  'names the address where the bus publishes with %j when it is taken',
  async (bus) => {
    const { port } = await takenPort();
    for (const images of [`tcp://127.0.0.1:${port}`, `tcp://*:${port}`]) {
      const taken = `${images}, where the bus publishes, is taken by another process; see [bus] images.`;
      await expect(refuse({ http: { port: 0 }, bus: { ...bus, images } })).rejects.toMatchObject({ message: taken });
    }
  },
);

it('asks for no port that the server would not bind, and leaves bad addresses to who binds them', async () => {
  const { port } = await takenPort();
  const images = `tcp://127.0.0.1:${port}`;
  await refuse({ http: { port: 0 }, bus: { images } });
  await refuse({ http: { port: 0 }, bus: { images, layout: 'pubsub', enabled: false } });
  await refuse({ http: { port: 0 }, bus: { images: 'ipc:///nowhere', layout: 'pubsub' } });
  await refuse({ http: { port: 8080, host: '203.0.113.1' }, bus: { enabled: false } });
});
