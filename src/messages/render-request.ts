import { z } from 'zod';
import type { FieldIssue } from '../errors.ts';
import { AppError } from '../errors.ts';
import type { Coercion, RenderRequestField } from './fields.ts';
import { MAX_SEED, MAX_SIDE, MIN_SIDE, renderRequestFields } from './fields.ts';

const BUS_REQUEST_ID = 'must be text of 1 to 4096 characters';
const busRequestId = z
  .string({ error: BUS_REQUEST_ID })
  .min(1, { error: BUS_REQUEST_ID })
  .max(4096, { error: BUS_REQUEST_ID });

type Fields = typeof renderRequestFields;
type OptionalShape = {
  [F in Exclude<RenderRequestField, 'prompt'>]: z.ZodOptional<z.ZodNullable<Fields[F]['schema']>>;
};

const fieldNames = Object.keys(renderRequestFields) as RenderRequestField[];

function shape(schemaOf: (name: RenderRequestField) => z.ZodType) {
  return Object.fromEntries(
    fieldNames.map((name) => [name, name === 'prompt' ? schemaOf(name) : schemaOf(name).nullish()]),
  ) as OptionalShape & { prompt: Fields['prompt']['schema'] };
}

const NO_OBJECT = { error: 'must be an object' };

/** What REST accepts: every field exact, no others. `null` means absent, since typed clients send it for "not set". */
export const strictRenderRequest = z
  .strictObject(
    shape((name) => renderRequestFields[name].schema),
    NO_OBJECT,
  )
  .meta({ id: 'RenderRequest', description: 'One render: a prompt and how to draw it' });

/** What the bus accepts: as tolerant as pydantic is in Experimance's own server. Unknown fields are left out. */
export const tolerantRenderRequest = z.object(shape(busSchema), NO_OBJECT);

type Nullish = z.infer<typeof strictRenderRequest>;
/** A validated request: explicit fields only, before defaults and random seeds. */
export type RenderRequest = { [F in keyof Nullish]: Exclude<Nullish[F], null> };

/** A request as the bus sent it, with the names of the fields that had to be dropped. */
export interface TolerantRequest {
  readonly request: RenderRequest;
  readonly ignored: readonly RenderRequestField[];
}

/**
 * `value` as the bus reads it: Python-like conversions, sizes clamped, bad values in fields that Experimance does not
 * know dropped; `foreign`: those that the project does not know. Throws `invalid_request` for what Experimance's own
 * server would refuse too.
 */
export function parseTolerantRequest(value: unknown, foreign: readonly RenderRequestField[] = []): TolerantRequest {
  const message = withDepthMapOfOldMessages(value);
  const first = tolerantRenderRequest.safeParse(message);
  if (first.success) return { request: withoutNulls(first.data), ignored: [] };

  const bad = new Set(first.error.issues.map((issue) => String(issue.path[0] ?? '')));
  const isKnownThere = (name: RenderRequestField) => renderRequestFields[name].experimance && !foreign.includes(name);
  const ignored = fieldNames.filter((name) => bad.has(name) && !isKnownThere(name));
  if (typeof message !== 'object' || message === null || ignored.length < bad.size) {
    throw invalidRequest(toFieldIssues(first.error.issues));
  }
  const kept = Object.fromEntries(Object.entries(message).filter(([name]) => !bad.has(name)));
  return { request: withoutNulls(tolerantRenderRequest.parse(kept)), ignored };
}

/** zod's issues as ours: dotted paths, and unknown keys named one by one. */
export function toFieldIssues(issues: readonly z.core.$ZodIssue[]): FieldIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownField([...issue.path, key].join('.')));
    }
    return [{ path: issue.path.join('.'), message: issue.message }];
  });
}

/** The issue with a key that no schema has. */
export function unknownField(path: string): FieldIssue {
  return { path, message: 'is not a known field' };
}

/** An `invalid_request` whose message names every field in `issues`. */
export function invalidRequest(issues: readonly FieldIssue[]): AppError {
  const summary = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return new AppError('invalid_request', summary.slice(0, 2000), { issues: issues.slice(0, 50) });
}

/** A validated request with only what is set. */
export function withoutNulls(data: Nullish): RenderRequest {
  return Object.fromEntries(
    Object.entries(data).filter(([, value]) => value !== null && value !== undefined),
  ) as RenderRequest;
}

/** Experimance's first messages had the depth map as bare base64 in `depth_map_png`. */
function withDepthMapOfOldMessages(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { depth_map_png: old, ...message } = value as Record<string, unknown>;
  if (typeof old !== 'string' || (message.depth_map ?? null) !== null) return value;
  return { ...message, depth_map: { image_data: old } };
}

function busSchema(name: RenderRequestField): z.ZodType {
  const { schema, coercion } = renderRequestFields[name];
  // The caller's id is echoed verbatim there, whatever it looks like.
  if (name === 'request_id') return busRequestId;
  if (coercion === 'none') return schema;
  // Nullish here as well, because a source that holds no image becomes null.
  return z.preprocess((value) => coerce(value, coercion), schema.nullish());
}

function coerce(value: unknown, coercion: Coercion): unknown {
  if (value === null || value === undefined) return value;
  switch (coercion) {
    case 'text':
      return value === '' ? null : value;
    case 'integer':
    case 'number':
      return toNumber(value);
    case 'side':
      return mapInteger(value, (n) => Math.min(MAX_SIDE, Math.max(MIN_SIDE, n)));
    case 'seed':
      return mapInteger(value, (n) => ((n % (MAX_SEED + 1)) + MAX_SEED + 1) % (MAX_SEED + 1));
    case 'fraction': {
      const number = toNumber(value);
      return typeof number === 'number' ? Math.min(1, Math.max(0, number)) : number;
    }
    case 'boolean':
      return toBoolean(value);
    case 'source':
      return toSource(value);
    default:
      return value;
  }
}

function toNumber(value: unknown): unknown {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'string' && /^\s*[+-]?\d+(\.\d*)?(e[+-]?\d+)?\s*$/i.test(value)) return Number(value);
  return value;
}

function mapInteger(value: unknown, map: (n: number) => number): unknown {
  const number = toNumber(value);
  return typeof number === 'number' && Number.isInteger(number) ? map(number) : number;
}

function toBoolean(value: unknown): unknown {
  const word = typeof value === 'string' ? value.toLowerCase() : value;
  if ([1, '1', 'true', 't', 'yes', 'y', 'on'].includes(word as string | number)) return true;
  if ([0, '0', 'false', 'f', 'no', 'n', 'off'].includes(word as string | number)) return false;
  return value;
}

/** `image_data` wins over `uri`, and an object that holds neither means that there is no image. */
function toSource(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { image_data: data, uri } = value as { image_data?: unknown; uri?: unknown };
  if ((data ?? '') !== '') return { image_data: data };
  if ((uri ?? '') !== '') return { uri };
  return null;
}
