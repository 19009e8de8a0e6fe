import type { ImageSource } from '../messages/fields.ts';
import type { RenderRequest } from '../messages/render-request.ts';

/** Paths as the core has them, on a file system that it shares with this server. */
export interface BusPaths {
  /** A `file://` address of ours as the core has it. */
  outward(uri: string): string;
  /** A request whose `file://` addresses and bare paths are ours. */
  inward(request: RenderRequest): RenderRequest;
}

const SOURCES = ['reference_image', 'depth_map', 'mask'] as const;

/** Paths by `[bus] path_map`: beginnings of paths here, and what the core has in their place. The longest one counts. */
export function createBusPaths(map: Readonly<Record<string, string>>): BusPaths {
  const pairs = Object.entries(map).map(([here, there]): readonly [string, string] => [trimmed(here), trimmed(there)]);
  const outward = longestFirst(pairs);
  const inward = longestFirst(pairs.map(([here, there]) => [there, here]));

  function mapSource(source: ImageSource): ImageSource {
    const { uri } = source;
    if (typeof uri !== 'string' || /^[a-z]+:/i.test(withoutScheme(uri))) return source;
    return { ...source, uri: replaceStart(uri, inward) };
  }

  return {
    outward: (uri) => replaceStart(uri, outward),
    inward(request) {
      if (inward.length === 0) return request;
      const mapped = SOURCES.flatMap((field) => {
        const source = request[field];
        return source === undefined ? [] : [[field, mapSource(source)]];
      });
      return { ...request, ...Object.fromEntries(mapped) };
    },
  };
}

function longestFirst(pairs: readonly (readonly [string, string])[]) {
  return pairs.toSorted(([left], [right]) => right.length - left.length);
}

/** Folders end at a slash: `/srv/images` is no beginning of `/srv/images-old/a.png`. */
function replaceStart(uri: string, pairs: readonly (readonly [string, string])[]): string {
  const path = withoutScheme(uri);
  const scheme = uri.slice(0, uri.length - path.length);
  const pair = pairs.find(([from]) => path === from || path.startsWith(`${from}/`));
  return pair === undefined ? uri : `${scheme}${pair[1]}${path.slice(pair[0].length)}`;
}

function withoutScheme(uri: string): string {
  return uri.replace(/^file:\/\//i, '');
}

function trimmed(folder: string): string {
  return folder.replace(/\/+$/, '');
}
