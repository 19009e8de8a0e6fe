import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { AppError } from '../../errors.ts';

/** Special ranges of IPv4: this network, private, shared, loopback, link-local, tests, multicast, reserved. */
const NOT_PUBLIC_V4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;

/** Inside of 2000::/3: protocol assignments (Teredo among them), documentation, 6to4. */
const NOT_PUBLIC_V6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;

const notPublic = new BlockList();
for (const [network, bits] of NOT_PUBLIC_V4) notPublic.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of NOT_PUBLIC_V6) notPublic.addSubnet(network, bits, 'ipv6');
const globalV6 = new BlockList();
globalV6.addSubnet('2000::', 3, 'ipv6');

/** Whether an IP address belongs to the open internet. */
export function isPublicAddress(address: string): boolean {
  if (isIPv6(address)) return globalV6.check(address, 'ipv6') && !notPublic.check(address, 'ipv6');
  return isIP(address) === 4 && !notPublic.check(address, 'ipv4');
}

/** Whether `host` is one of `names`; `*.example.org` stands for every name below example.org. */
export function isNamed(host: string, names: readonly string[]): boolean {
  return names.some((name) => {
    const wanted = name.toLowerCase();
    return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : host === wanted;
  });
}

/** A place that images may be fetched from. */
export interface AllowedAddress {
  readonly url: URL;
  /** Whether the name must lead to the open internet: everything but the configured server itself. */
  readonly publicOnly: boolean;
}

/**
 * Checks where a provider's answer, or a redirect, sends us: the origin of `baseUrl` itself, or https on a host that
 * `hosts` names. Throws `unsafe_result_url`.
 */
export function checkAddress(text: string, rules: { baseUrl: string; hosts: readonly string[] }): AllowedAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '') throw unsafe();
  if (url.origin === new URL(rules.baseUrl).origin) return { url, publicOnly: false };
  const plain = url.protocol === 'https:' && url.port === '';
  if (!plain || !isNamed(url.hostname, rules.hosts)) throw unsafe();
  return { url, publicOnly: true };
}

/** Resolves a name, and refuses it when any of its addresses is not of the open internet. */
export const lookupPublic: LookupFunction = (host, options, callback) => {
  const all: LookupOptions & { all: true } = { ...options, all: true };
  lookup(host, all, (error, found: LookupAddress[]) => {
    if (error !== null) return callback(error, []);
    if (found.length === 0 || !found.every(({ address }) => isPublicAddress(address))) return callback(unsafe(), []);
    const [first] = found;
    if (options.all === true || first === undefined) callback(null, found);
    else callback(null, first.address, first.family);
  });
};

/** The address that images may not be fetched from stays unsaid: it may carry a signature. */
export function unsafe(): AppError {
  const message = 'The provider’s answer leads to an address that images may not be fetched from.';
  return new AppError('unsafe_result_url', message);
}
