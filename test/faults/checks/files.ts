import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import sharp from 'sharp';
import type { Check, Evidence } from './check.ts';

interface FoundImage {
  readonly sha256: string;
  readonly width: number;
  readonly height: number;
}

/** Every stored image by its name, decoded to the last pixel; and those that are not what their name says. */
async function readImages(dir: string): Promise<{ images: Map<string, FoundImage>; broken: string[] }> {
  const images = new Map<string, FoundImage>();
  const broken: string[] = [];
  const entries = await readdir(join(dir, 'renders'), { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((one) => one.isFile())) {
    const bytes = await readFile(join(entry.parentPath, entry.name));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const pixels = await sharp(bytes, { failOn: 'warning' })
      .raw()
      .toBuffer({ resolveWithObject: true })
      .catch((error: unknown) => broken.push(`${entry.name} cannot be decoded: ${String(error)}`));
    if (sha256 !== basename(entry.name, extname(entry.name))) broken.push(`${entry.name} has the bytes of ${sha256}`);
    if (typeof pixels === 'object') images.set(sha256, { sha256, ...pixels.info });
  }
  return { images, broken };
}

/** The image store, beside the journal. */
export const FILE_CHECKS: readonly Check[] = [
  {
    name: 'every stored image decodes and has the SHA-256 that it is named by',
    violations: async ({ imagesDir }) => (await readImages(imagesDir)).broken,
  },
  {
    name: 'every image that was announced is there, in its size, unless it was evicted',
    async violations({ imagesDir, journal }: Evidence) {
      const { images } = await readImages(imagesDir);
      const evicted = new Set(
        journal.images.filter(({ evicted_at }) => evicted_at !== null).map(({ image_id }) => image_id),
      );
      return journal.events
        .filter(({ type, body }) => type === 'ImageReady' && !evicted.has(String(body.image_id)))
        .flatMap(({ body }) => {
          const found = images.get(String(body.image_id));
          const isThere = found !== undefined && found.width === body.width && found.height === body.height;
          return isThere ? [] : [`image ${body.index} of ${body.request_id} is not there`];
        });
    },
  },
  {
    name: 'no half-written file is left',
    violations: async ({ imagesDir }) => await readdir(join(imagesDir, 'tmp')),
  },
  {
    name: 'the journal is whole',
    violations: ({ journal }) => journal.damage,
  },
  {
    name: 'no server ended by itself, or logged an error',
    violations: ({ troubles }) => troubles,
  },
];
