import { hash, randomInt } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { FieldIssue } from '../errors.ts';
import { AppError } from '../errors.ts';
import type { GeneratorCapabilities, GeneratorSizes } from '../generators/generator.ts';
import type { ImageFormat } from '../messages/fields.ts';
import { DEFAULT_QUALITY, MAX_SEED, OPTIONAL_FIELDS } from '../messages/fields.ts';
import type { ProjectRules } from '../messages/projects.ts';
import type { AcceptedRequest } from '../messages/render.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import { invalidRequest } from '../messages/render-request.ts';
import type { Door, WorkSpec } from './records.ts';

/** How a bad field is met: REST refuses it, the bus does without it. */
export type Mode = 'strict' | 'tolerant';

/** A request without what its generator cannot honour, and the names of those fields. */
export interface FittedRequest {
  readonly request: RenderRequest;
  readonly ignored: readonly string[];
}

/**
 * Fits a request to a generator's capabilities. In mode `strict` throws `unsupported_field` naming every field that
 * cannot be honoured.
 */
export function fitToGenerator(
  request: RenderRequest,
  name: string,
  { fields, seeds, maxImages }: GeneratorCapabilities,
  mode: Mode,
): FittedRequest {
  const unsupported: string[] = OPTIONAL_FIELDS.filter((field) => request[field] !== undefined && !fields.has(field));
  if (request.seed !== undefined && !seeds) unsupported.push('seed');
  const tooMany = (request.num_images ?? 1) > maxImages;
  if (unsupported.length === 0 && !tooMany) return { request, ignored: [] };

  if (mode === 'strict') {
    const issues = unsupported.map((path) => ({ path, message: `is not supported by the generator ${name}` }));
    if (tooMany) issues.push({ path: 'num_images', message: `must be at most ${maxImages} for the generator ${name}` });
    const named = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
    throw new AppError('unsupported_field', named, { issues });
  }
  const kept = Object.fromEntries(Object.entries(request).filter(([field]) => !unsupported.includes(field)));
  const fitted = { ...(kept as RenderRequest), ...(tooMany ? { num_images: maxImages } : {}) };
  return { request: fitted, ignored: [...unsupported, ...(tooMany ? ['num_images'] : [])] };
}

/** Throws `invalid_request` when era or biome are not the project's, or missing where its core would need them. */
export function checkPlace({ era, biome }: RenderRequest, rules: ProjectRules, door: Door): void {
  const required = rules.placeRequired && door === 'bus';
  const issues = [
    ...placeIssues('era', era, rules.eras, required),
    ...placeIssues('biome', biome, rules.biomes, required),
  ];
  if (issues.length > 0) throw invalidRequest(issues);
}

function placeIssues(
  path: string,
  value: string | undefined,
  allowed: readonly string[] | undefined,
  required: boolean,
): FieldIssue[] {
  if (value === undefined) return required ? [{ path, message: 'is required here' }] : [];
  if (allowed === undefined || allowed.includes(value)) return [];
  return [{ path, message: `must be one of ${allowed.join(', ')}` }];
}

/** The nearest size that the generator renders, in pixels. */
export function resolveSize(sizes: GeneratorSizes, wanted: Pick<RenderRequest, 'width' | 'height'>) {
  const nearest = (side: number) => {
    const rounded = Math.round(side / sizes.multipleOf) * sizes.multipleOf;
    return Math.min(sizes.max, Math.max(sizes.min, rounded));
  };
  return {
    width: nearest(wanted.width ?? sizes.default.width),
    height: nearest(wanted.height ?? sizes.default.height),
  };
}

/** Ids of a request's input images. */
export type InputIds = { readonly [F in 'reference_image' | 'depth_map' | 'mask']?: string };

/** The request as it is kept: explicit fields only, input images by content. */
export function acceptedRequest(request: RenderRequest, inputs: InputIds): AcceptedRequest {
  const { request_id: _, reference_image: _r, depth_map: _d, mask: _m, ...plain } = request;
  const byContent = Object.entries(inputs).map(([field, imageId]) => [field, { image_id: imageId }]);
  return { ...plain, ...Object.fromEntries(byContent) };
}

/** SHA-256 (hex) of what the caller asked for: equal for the same body, whatever its spelling. */
export function hashBody(request: AcceptedRequest): string {
  return hash('sha256', canonicalize(request) ?? '');
}

/** `hashBody` of a render: of one that nobody has named it is made only when somebody asks. */
export function bodyHashOf({ bodyHash, request }: { bodyHash?: string | undefined; request: AcceptedRequest }): string {
  return bodyHash ?? hashBody(request);
}

/**
 * Names work that gives equal images: SHA-256 (hex) of everything that decides how they look. Without `seeded` the seed
 * does not count.
 */
export function sharedKey(
  spec: WorkSpec,
  by: { readonly generator: string; readonly revision: string; readonly seeded?: boolean },
): string {
  const { generator, revision, seeded = true } = by;
  return hash('sha256', canonicalize({ ...spec, seed: seeded ? spec.seed : null, generator, revision }) ?? '');
}

/** What the generator is to draw: the fitted request with every choice made. */
export function resolveWork(
  request: RenderRequest,
  inputs: InputIds,
  sizes: GeneratorSizes,
  defaults: { readonly outputFormat: ImageFormat },
): WorkSpec {
  const outputFormat = request.output_format ?? defaults.outputFormat;
  return {
    prompt: request.prompt,
    negativePrompt: request.negative_prompt,
    ...resolveSize(sizes, request),
    seed: request.seed ?? randomInt(MAX_SEED + 1),
    numImages: request.num_images ?? 1,
    steps: request.steps,
    guidanceScale: request.guidance_scale,
    strength: request.strength,
    style: request.style,
    loras: request.loras,
    era: request.era,
    biome: request.biome,
    referenceImage: inputs.reference_image,
    depthMap: inputs.depth_map,
    mask: inputs.mask,
    outputFormat,
    quality: request.quality ?? DEFAULT_QUALITY[outputFormat],
  };
}
