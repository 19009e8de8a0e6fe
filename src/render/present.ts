import type { GeneratorHealth, GeneratorModel, ServedGenerator } from '../generators/generator.ts';
import type { GeneratorResource, RenderResource } from '../messages/render.ts';
import { imagePath } from './job.ts';
import type { Links } from './links.ts';
import type { QueueStats, RenderRecord } from './records.ts';

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
    attempts: attempts.map(({ generator, startedAt, endedAt, outcome, error, costUsd }) => ({
      generator,
      started_at: iso(startedAt),
      ended_at: endedAt === undefined ? undefined : iso(endedAt),
      outcome,
      error,
      cost_usd: costUsd,
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
    cached: record.cached,
    fallback_from: record.fallbackFrom,
    batch_id: record.batchId,
    cost_usd: sumOf(attempts.map(({ costUsd }) => costUsd)),
    timings,
    created_at: iso(record.createdAt),
    started_at: startedAt === undefined ? undefined : iso(startedAt),
    finished_at: finishedAt === undefined ? undefined : iso(finishedAt),
    error,
    metadata: request.metadata ?? {},
  };
}

/** Of what is known; undefined when nothing is. */
function sumOf(costs: readonly (number | undefined)[]): number | undefined {
  const known = costs.filter((cost) => cost !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, cost) => sum + cost, 0);
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

/** A generator as every caller sees it. */
export function presentGenerator(of: {
  readonly name: string;
  readonly isDefault: boolean;
  readonly served: ServedGenerator;
  readonly health: GeneratorHealth;
  readonly queues: readonly QueueStats[];
}): GeneratorResource {
  const { name, isDefault, health, queues } = of;
  const { generator, concurrency } = of.served;
  const { capabilities, sizes } = generator;
  const queue = queues.find((stats) => stats.generator === name);
  const models = [...(generator.models ?? [])];
  return {
    name,
    default: isDefault,
    ...health,
    capabilities: {
      image_to_image: capabilities.fields.has('reference_image'),
      controlnet_depth: capabilities.fields.has('depth_map'),
      inpainting: capabilities.fields.has('mask'),
      loras: capabilities.fields.has('loras'),
      negative_prompts: capabilities.fields.has('negative_prompt'),
      seeds: capabilities.seeds,
      batch: capabilities.maxImages > 1,
      previews: capabilities.previews,
    },
    ...fieldsOf(generator),
    models: models.map(([model]) => model),
    model_fields: Object.fromEntries(models.map(([model, abilities]) => [model, fieldsOf(abilities)])),
    sizes: { default: sizes.default, min: sizes.min, max: sizes.max, multiple_of: sizes.multipleOf },
    concurrency,
    queued: queue?.queued ?? 0,
    running: queue?.running ?? 0,
  };
}

function fieldsOf({ capabilities: { fields, required } }: Pick<GeneratorModel, 'capabilities'>) {
  return { fields: [...fields], required: [...(required ?? [])] };
}
