import type { ImageFormat } from '../messages/fields.ts';

/** How callers find an image. */
export interface Links {
  /** An absolute address for a path below the server's root. */
  url(path: string): string;
  /** `file://` and the raw absolute path: the bus's peers never decode percent signs. */
  uri(imageId: string, format: ImageFormat): string;
  /** Whether callers, beside the bus, may see paths. */
  readonly showPaths: boolean;
}

/** Links whose `base`, as in `http://127.0.0.1:8080`, is known once the server listens. `publicUrl` takes its place. */
export function createLinks(options: {
  publicUrl: string | undefined;
  pathOf: (imageId: string, format: ImageFormat) => string;
  showPaths: boolean;
}): Links & { base: string } {
  const { publicUrl, pathOf, showPaths } = options;
  return {
    base: '',
    url(path) {
      return `${publicUrl?.replace(/\/$/, '') ?? this.base}${path}`;
    },
    uri: (imageId, format) => `file://${pathOf(imageId, format)}`,
    showPaths,
  };
}
