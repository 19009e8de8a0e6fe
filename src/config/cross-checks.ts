import { isLoopback } from './loopback.ts';
import type { Config } from './schema.ts';

/** A value that is fine by itself and wrong beside others. */
export interface Refusal {
  /** Dotted paths: the key that is refused, then those that it was compared with. */
  readonly keys: readonly [string, ...string[]];
  readonly reason: string;
}

/** What the schema cannot say: relations between keys, and addresses that would fail only when used. */
export function crossCheck(config: Config): { refusals: Refusal[]; warnings: string[] } {
  const refusals: Refusal[] = [];
  const warnings: string[] = [];
  if (!isLoopback(config.http.host)) {
    if (config.auth.anonymous) warnings.push(openHostWarning(config.http.host));
    else refusals.push({ keys: ['http.host', 'auth.anonymous'], reason: OPEN_HOST });
  }
  // A port or a scheme would make a name that no request ever matches.
  if (config.http.allowed_hosts.some((name) => !/^[^\s/:]+$/.test(name))) {
    refusals.push({ keys: ['http.allowed_hosts'], reason: 'expected host names without scheme and port' });
  }
  refusals.push(...refuseBus(config.bus));
  if (config.mock.style === 'existing' && config.mock.images_dir === undefined) {
    refusals.push({
      keys: ['mock.style', 'mock.images_dir'],
      reason: 'this style needs [mock] images_dir, the folder of its images',
    });
  }
  for (const [key, url] of keyedUrls(config)) {
    if (sendsKeyInClear(url)) {
      refusals.push({
        keys: [key],
        reason: 'expected https, since the key goes there; http is for this machine',
      });
    }
  }
  return { refusals, warnings };
}

/** Where requests with a key go. */
function keyedUrls({ fal, openai, runware }: Config): [key: string, url: string][] {
  return [
    ['fal.base_url', fal.base_url],
    ['fal.upload_url', fal.upload_url],
    ['openai.base_url', openai.base_url],
    ['runware.base_url', runware.base_url],
  ];
}

function sendsKeyInClear(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol !== 'https:' && !isLoopback(hostname.replaceAll(/[[\]]/g, ''));
}

const OPEN_HOST =
  'anybody who reaches this address could render, for there are no API keys yet; use 127.0.0.1, ' +
  'or put a proxy that checks its callers in front of 127.0.0.1, or allow everybody with [auth] anonymous = true';

function openHostWarning(host: string): string {
  return `[http] host = "${host}" with [auth] anonymous = true: anybody who reaches this address can render`;
}

function refuseBus(bus: Config['bus']): Refusal[] {
  const connecting = (['requests', 'results', 'events'] as const).map((name) => ({
    keys: [`bus.${name}`] as const,
    reason: refuseBusAddress(bus[name]),
  }));
  const refused = [...connecting, { keys: ['bus.images'] as const, reason: refuseBindAddress(bus.images) }].flatMap(
    ({ keys, reason }): Refusal[] => (reason === undefined ? [] : [{ keys, reason }]),
  );
  const relative = Object.entries(bus.path_map)
    .flat()
    .some((path) => !path.startsWith('/'));
  if (relative) refused.push({ keys: ['bus.path_map'], reason: 'expected absolute paths on both sides' });
  return refused;
}

/** Where we listen ourselves: every interface is an address, too. */
function refuseBindAddress(address: string): string | undefined {
  return refuseBusAddress(address.replace(/^tcp:\/\/\*:/, 'tcp://0.0.0.0:'));
}

function refuseBusAddress(address: string): string | undefined {
  if (/^ipc:\/\/./.test(address)) return undefined;
  const parts = /^tcp:\/\/(?<host>\[[^\]\s]+\]|[^:/;[\]\s]+):(?<port>\d+)$/.exec(address)?.groups;
  if (parts === undefined) return 'expected tcp://HOST:PORT or ipc://PATH, such as "tcp://127.0.0.1:5564"';
  const port = Number(parts.port);
  if (port < 1 || port > 65_535) return 'expected a port from 1 to 65535';
  if (parts.host === '*') return 'expected the address of the core, which this server connects to; * is for binding';
  if (parts.host?.toLowerCase() === 'localhost') {
    return `use tcp://127.0.0.1:${port}: localhost may mean the IPv6 address ::1, and the core listens on IPv4 only`;
  }
  return undefined;
}
