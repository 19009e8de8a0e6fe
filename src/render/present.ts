import type { ImageFormat } from '../messages/fields.ts';
import type { RenderResource } from '../messages/render.ts';
import { imagePath } from './job.ts';
import type { RenderRecord } from './journal.ts';

/** How callers find an image. */
export interface Links {
  /** An absolute address for a path below the server's root. */
  url(path: string): string;
  /** `file://` and the raw absolute path: the bus's peers never decode percent signs. */
  uri(imageId: string, format: ImageFormat): string;
  /** Whether callers, beside the bus, may see paths. */
  readonly showPaths: boolean;
}

/** How far a running render is. */
export interface Progress {
  readonly step: number;
  readonly steps: number;
}

/** A render as every caller sees it. */
export function presentRender(record: RenderRecord, links: Links, progress: Progress | undefined): RenderResource {
  const { status, request, attempts, images, timings, error, startedAt, finishedAt, queuePosition } = record;
  return {
    id: record.id,
    request_id: record.requestId,
    status,
    request,
    generator: record.generator,
    ignored: [...record.ignored],
    attempts: attempts.map(({ generator, startedAt, endedAt, outcome, error }) => ({
      generator,
      started_at: iso(startedAt),
      ended_at: endedAt === undefined ? undefined : iso(endedAt),
      outcome,
      error,
    })),
    queue_position: queuePosition,
    progress:
      status === 'running' && progress !== undefined
        ? { ...progress, fraction: progress.step / progress.steps }
        : undefined,
    images: images.map(({ imageId, width, height, format, bytes, seed }) => ({
      image_id: imageId,
      url: links.url(imagePath(imageId)),
      uri: links.showPaths ? links.uri(imageId, format) : undefined,
      width,
      height,
      format,
      bytes,
      seed,
    })),
    cached: false,
    timings,
    created_at: iso(record.createdAt),
    started_at: startedAt === undefined ? undefined : iso(startedAt),
    finished_at: finishedAt === undefined ? undefined : iso(finishedAt),
    error,
    metadata: request.metadata ?? {},
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
