import type { FieldIssue } from '../errors.ts';
import { AppError, asAppError } from '../errors.ts';
import type { GeneratorChoice, GeneratorModel, ServedGenerator } from '../generators/generator.ts';
import type { ImageFormat, ImageSource } from '../messages/fields.ts';
import type { ProjectRules } from '../messages/projects.ts';
import type { AcceptedRequest } from '../messages/render.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import { invalidRequest } from '../messages/render-request.ts';
import type { Hold } from '../store/image-store.ts';
import type { Clock } from './clock.ts';
import { newId } from './ids.ts';
import type { Caller, NewRender, WorkSpec } from './records.ts';
import type { InputIds, Mode } from './resolve.ts';
import { acceptedRequest, checkPlace, fitToGenerator, hashBody, resolveWork, sharedKey } from './resolve.ts';

const INPUT_FIELDS = ['reference_image', 'depth_map', 'mask'] as const;

type KeptInputs = { [F in (typeof INPUT_FIELDS)[number]]?: { imageId: string; bytes: number } };

/** Reads an input image, checks it and keeps it, at least until the hold is released. `path` names the field in errors. */
export type AcceptInput = (
  source: ImageSource,
  rules: { files: boolean },
  path: string,
  hold: Hold,
) => Promise<{ imageId: string; bytes: number }>;

/** A request at the door. */
export interface Submission {
  readonly caller: Caller;
  readonly request: RenderRequest;
  readonly mode: Mode;
  /** Fields that were dropped before. */
  readonly ignored?: readonly string[];
}

/** Options of `createPreparation`. */
export interface PreparationOptions {
  readonly acceptInput: AcceptInput;
  readonly generators: ReadonlyMap<string, ServedGenerator>;
  readonly defaultGenerator: string;
  /** What a name of a generator means: it may be an alias, or have a model after a slash. */
  readonly chooseGenerator: (name: string) => GeneratorChoice;
  readonly project: ProjectRules;
  readonly busFormat: ImageFormat;
  /** Default of a render's wait for its first start. */
  readonly queueTimeoutMs: number;
  /** Whether equal requests without a seed share their images. */
  readonly shareUnseeded: boolean;
  readonly clock: Clock;
  /** See `Journal`. */
  readonly steadyNow: () => number;
}

/** What happens to a request before the journal sees it. */
export function createPreparation(options: PreparationOptions) {
  const { generators, clock } = options;

  /**
   * Makes every choice that the request leaves open, and keeps its input images, which the hold must keep until the
   * journal has them. Throws `invalid_request`,
   * `unknown_generator`, `unsupported_field`, `generator_unavailable`, `invalid_image`, `uri_not_allowed`,
   * `storage_full` or `storage_failed`.
   */
  async function prepare(submission: Submission, hold: Hold): Promise<NewRender> {
    const { caller, request, mode, ignored = [] } = submission;
    const { served, name, model, abilities } = chosen(request);
    checkPlace(request, options.project, caller.door);
    const fitted = fitToGenerator(request, name, abilities.capabilities, mode);
    checkRequired(fitted.request, name, abilities);
    const kept = await keepInputs(submission, hold);
    const inputs = idsOf(kept);

    const id = newId();
    const steadyAt = options.steadyNow();
    const queueTimeoutMs =
      request.queue_timeout_s === undefined ? options.queueTimeoutMs : Math.ceil(request.queue_timeout_s * 1000);
    const outputFormat = caller.door === 'bus' ? options.busFormat : 'png';
    const used = usedInputs(fitted.request, inputs);
    const spec = { ...resolveWork(fitted.request, used, abilities.sizes, { outputFormat }), model };
    const accepted = acceptedRequest(request, inputs);
    return {
      ...caller,
      id,
      requestId: request.request_id ?? id,
      bodyHash: request.request_id === undefined ? undefined : hashBody(accepted),
      request: accepted,
      ignored: [...ignored, ...fitted.ignored],
      generator: name,
      priority: request.priority ?? 0,
      timeoutMs: Math.ceil(request.timeout_s === undefined ? served.timeoutMs : request.timeout_s * 1000),
      queueTimeoutMs,
      queueUntil: steadyAt + queueTimeoutMs,
      fallback: request.fallback ?? true,
      useCache: (request.cache ?? 'use') === 'use',
      cacheKey: keyFor(fitted.request, spec, served, name),
      clearQueue: request.clear_queue ?? false,
      createdAt: clock.now(),
      steadyAt,
      // Work is named after the render that it was begun for.
      workId: id,
      spec,
      inputs: Object.values(kept),
    };
  }

  /** Only a seed says which image is wanted; without one, each request wants its own. */
  function keyFor(request: RenderRequest, spec: WorkSpec, { generator }: ServedGenerator, name: string) {
    const seeded = request.seed !== undefined;
    if (request.cache === 'off' || !(seeded || options.shareUnseeded)) return undefined;
    return sharedKey(spec, { generator: name, revision: generator.revision ?? name, seeded });
  }

  function chosen({ generator = options.defaultGenerator }: RenderRequest) {
    const { generator: name, model } = options.chooseGenerator(generator);
    const served = generators.get(name);
    if (served === undefined) throw unknownGenerator([...generators.keys()]);
    const { models = new Map<string, GeneratorModel>() } = served.generator;
    const abilities = model === undefined ? served.generator : models.get(model);
    if (abilities === undefined) throw unknownGenerator([name, ...[...models.keys()].map((one) => `${name}/${one}`)]);
    const { state, reason } = served.generator.health();
    if (state === 'disabled') {
      throw new AppError('generator_unavailable', `The generator ${name} is disabled${reason ? `: ${reason}` : ''}.`);
    }
    return { served, name, model, abilities };
  }

  /** Every input image is checked and durable before the render is accepted: it must survive a crash as well. */
  async function keepInputs({ caller, request, mode }: Submission, hold: Hold): Promise<KeptInputs> {
    const rules = { files: caller.door === 'bus' && mode === 'tolerant' };
    const kept: KeptInputs = {};
    for (const field of INPUT_FIELDS) {
      const source = request[field];
      if (source !== undefined) kept[field] = await options.acceptInput(source, rules, field, hold);
    }
    return kept;
  }

  /**
   * SHA-256 (hex) of what the caller asks for; see `hashBody`. Files that a bus message names and that are gone by now
   * count as those of the `earlier` request.
   */
  async function hashRequest(submission: Submission, earlier: AcceptedRequest, hold: Hold): Promise<string> {
    const { request } = submission;
    try {
      return hashBody(acceptedRequest(request, idsOf(await keepInputs(submission, hold))));
    } catch (error) {
      // Only the bus names files. Bytes that came with the request are not the earlier ones if they cannot be read.
      if (submission.caller.door !== 'bus' || asAppError(error).code !== 'uri_not_allowed') throw error;
      const named = INPUT_FIELDS.filter((field) => request[field] !== undefined);
      const inputs = Object.fromEntries(named.map((field) => [field, earlier[field]?.image_id]));
      return hashBody(acceptedRequest(request, inputs));
    }
  }

  return { prepare, hashRequest };
}

/** Names the generators that there are, beside one that is none of them. */
export function unknownGenerator(names: readonly string[]): AppError {
  const known = names.join(', ');
  const issues: FieldIssue[] = [{ path: 'generator', message: `must be one of ${known}` }];
  return new AppError('unknown_generator', `generator: there is none of this name; known are ${known}.`, { issues });
}

/** Throws `invalid_request` when something is missing without which the generator cannot draw. */
function checkRequired(request: RenderRequest, name: string, { capabilities }: GeneratorModel): void {
  const missing = [...(capabilities.required ?? [])].filter((field) => request[field] === undefined);
  if (missing.length === 0) return;
  throw invalidRequest(missing.map((path) => ({ path, message: `is required by the generator ${name}` })));
}

function idsOf(kept: KeptInputs): InputIds {
  return Object.fromEntries(Object.entries(kept).map(([field, { imageId }]) => [field, imageId]));
}

function usedInputs(request: RenderRequest, inputs: InputIds): InputIds {
  return Object.fromEntries(Object.entries(inputs).filter(([field]) => request[field as keyof InputIds] !== undefined));
}
