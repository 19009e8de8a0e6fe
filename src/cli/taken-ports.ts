import { createServer } from 'node:net';
import type { Config } from '../config/schema.ts';
import { AppError } from '../errors.ts';

/** Where a server of this configuration would listen, and how that is said when somebody else does. */
interface Place {
  readonly host: string;
  readonly port: number;
  readonly taken: string;
}

/**
 * Throws `port_in_use`, naming it, when another process listens where this server would. Asked before anything is
 * loaded or opened: who restarts the server hears it at once, and the journal is left alone. A port that is taken only
 * afterwards is found when it is bound, and so is every other trouble with an address.
 */
export async function refuseTakenPorts({ http, bus }: Pick<Config, 'http' | 'bus'>): Promise<void> {
  const places = [httpPlace(http), busPlace(bus)].filter((place) => place !== undefined);
  for (const { host, port, taken } of places) if (await isTaken(host, port)) throw new AppError('port_in_use', taken);
}

function httpPlace({ host, port }: Config['http']): Place | undefined {
  if (port === 0) return undefined;
  return { host, port, taken: `Port ${port} of ${host} is taken by another process; see [http] port.` };
}

/** The bus publishes in the pub/sub layout, and where its Alerts are published; its other sockets connect. */
function busPlace({ enabled, layout, alerts, images }: Config['bus']): Place | undefined {
  const publishes = enabled && (layout === 'pubsub' || alerts === 'publish' || alerts === 'both');
  const [, host, port] = /^tcp:\/\/(.+):(\d+)$/.exec(images) ?? [];
  if (!publishes || host === undefined || port === undefined) return undefined;
  const taken = `${images}, where the bus publishes, is taken by another process; see [bus] images.`;
  // libzmq's name for every address of the machine; it binds IPv4 alone.
  return { host: host === '*' ? '0.0.0.0' : host, port: Number(port), taken };
}

async function isTaken(host: string, port: number): Promise<boolean> {
  const probe = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE'));
  probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(false)));
  return await promise;
}
