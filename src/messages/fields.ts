import { z } from 'zod';

/** Most images that one render may ask for. */
export const MAX_IMAGES = 10;
/** Smallest side of an image, in pixels. */
export const MIN_SIDE = 64;
/** Largest side of an image, in pixels. */
export const MAX_SIDE = 4096;
/** Largest seed: 2^32 − 1. */
export const MAX_SEED = 0xffff_ffff;

/** Formats that images are stored in. */
export const imageFormat = z.enum(['png', 'jpeg', 'webp', 'avif'], { error: 'must be one of png, jpeg, webp, avif' });
/** A format of `imageFormat`. */
export type ImageFormat = z.infer<typeof imageFormat>;

/** Quality when none is asked for, where a careful look sees no difference; PNG has none. */
export const DEFAULT_QUALITY = { png: 100, jpeg: 90, webp: 88, avif: 65 } as const satisfies Record<
  ImageFormat,
  number
>;

const NOT_EMPTY = 'must be text that is not empty';
const notEmpty = z.string({ error: NOT_EMPTY }).min(1, { error: NOT_EMPTY });

/** An input image: exactly one of the two keys; the other may be null, as typed clients write it. */
export const imageSource = z
  .strictObject(
    {
      image_data: notEmpty.nullish().describe('The file as base64, bare or as a data URL'),
      uri: notEmpty.nullish().describe('Where the server can read it, if its configuration allows that'),
    },
    { error: 'must be an object with image_data or uri' },
  )
  .refine((source) => ((source.image_data ?? null) === null) !== ((source.uri ?? null) === null), {
    error: 'must have either image_data or uri',
  })
  .meta({ id: 'ImageSource', description: 'PNG, JPEG or WebP, as base64 or by address' });

/** An input image as callers name it. */
export type ImageSource = z.infer<typeof imageSource>;

const side = integer(MIN_SIDE, MAX_SIDE);

const REQUEST_ID = 'must be text of 1 to 128 characters of A-Z a-z 0-9 . _ : -';
const LORAS = 'must be a list of at most 16 objects {path, scale}';
const SECONDS = 'must be a number of seconds above 0 and at most 86400';

/** The words for a value that is wrong, or that is missing where it must not. */
function wrong(message: string) {
  return ({ input }: { readonly input?: unknown }) => (input === undefined ? 'is required' : message);
}

/** A whole number in a range, both ends included. */
function integer(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A number in a range, both ends included. */
function number(min: number, max: number) {
  const error = wrong(`must be a number from ${min} to ${max}`);
  return z.number({ error }).min(min, { error }).max(max, { error });
}

/** Text of at most `max` characters that can be stored and sent as UTF-8. */
function text(min: number, max: number) {
  const error = wrong(`must be text of ${min === 0 ? 'at most' : `${min} to`} ${max} characters`);
  return z
    .string({ error })
    .min(min, { error })
    .max(max, { error })
    .refine((value) => value.isWellFormed(), { error: 'must be Unicode text: it has half of a surrogate pair' });
}

/** How the bus reads a field: Python's pydantic turns `"512"`, `512.0` and `true` into 512, so we do too. */
export type Coercion = 'none' | 'text' | 'integer' | 'side' | 'seed' | 'number' | 'fraction' | 'boolean' | 'source';

interface Field {
  /** The value that REST accepts. */
  readonly schema: z.ZodType;
  readonly coercion: Coercion;
  /**
   * Whether Experimance's own messages have the field. A bad value in one of those is an error, as it is there;
   * a bad value in one of ours is dropped, because there it would be an unknown field.
   */
  readonly experimance: boolean;
}

function field<S extends z.ZodType>(schema: S, coercion: Coercion = 'none', experimance = false) {
  return { schema, coercion, experimance } satisfies Field;
}

function experimance<S extends z.ZodType>(schema: S, coercion: Coercion = 'none') {
  return field(schema, coercion, true);
}

/** The fields of a `RenderRequest`: the one table behind the strict schema of REST and the tolerant one of the bus. */
export const renderRequestFields = {
  request_id: experimance(
    z
      .string({ error: REQUEST_ID })
      .regex(/^[A-Za-z0-9._:-]{1,128}$/, { error: REQUEST_ID })
      .describe("The caller's own id; the same id never renders twice. Default: the render's id"),
  ),
  prompt: experimance(
    text(1, 10_000)
      .refine((value) => value.trim() !== '', { error: 'must not be blank' })
      .describe('What to draw'),
  ),
  negative_prompt: experimance(text(0, 10_000).describe('What to avoid')),
  generator: experimance(
    text(1, 128).describe('Which generator renders, or `generator/model`; see /v1/generators'),
    'text',
  ),
  width: experimance(side.describe('Pixels'), 'side'),
  height: experimance(side.describe('Pixels'), 'side'),
  seed: experimance(integer(0, MAX_SEED).describe('Random when absent; the result states it'), 'seed'),
  num_images: field(integer(1, MAX_IMAGES).describe('Image i has seed + i. Default 1'), 'integer'),
  steps: field(integer(1, 1000).describe("Denoising steps. Default: the generator's"), 'integer'),
  guidance_scale: field(number(0, 100).describe('How strictly the prompt is followed'), 'number'),
  strength: experimance(
    number(0, 1).describe('How far to leave the reference image: 0 keeps it, 1 ignores it'),
    'fraction',
  ),
  style: experimance(text(1, 200).describe('A style that the generator knows'), 'text'),
  loras: field(
    z
      .array(
        z.strictObject({ path: text(1, 1000), scale: number(-10, 10) }, { error: 'must be an object {path, scale}' }),
        { error: LORAS },
      )
      .max(16, { error: LORAS })
      .describe('LoRA weights to mix in'),
  ),
  reference_image: experimance(imageSource.describe('Starting image for image-to-image'), 'source'),
  depth_map: experimance(imageSource.describe('Depth map for ControlNet, brighter is nearer'), 'source'),
  mask: field(imageSource.describe('Where to in-paint: white is drawn anew'), 'source'),
  era: experimance(text(1, 64).describe('Era of the scene, one of the project’s'), 'text'),
  biome: experimance(text(1, 64).describe('Biome of the scene, one of the project’s'), 'text'),
  output_format: field(imageFormat.describe('Default png; on the bus as configured')),
  quality: field(integer(1, 100).describe('Quality of a lossy format. Default: jpeg 90, webp 88, avif 65'), 'integer'),
  priority: field(integer(-10, 10).describe('Higher first; equal ones in order of arrival. Default 0'), 'integer'),
  timeout_s: field(
    z
      .number({ error: SECONDS })
      .positive({ error: SECONDS })
      .max(86_400, { error: SECONDS })
      .describe("Seconds from the first start. Default: the generator's"),
    'number',
  ),
  queue_timeout_s: field(
    z
      .number({ error: SECONDS })
      .positive({ error: SECONDS })
      .max(86_400, { error: SECONDS })
      .describe('Seconds that it may wait for its first start. Default: as configured'),
    'number',
  ),
  cache: field(
    z
      .enum(['use', 'refresh', 'off'], { error: 'must be one of use, refresh, off' })
      .describe(
        'Whether stored images of an equal request with a seed may answer; refresh makes them anew. Default use',
      ),
  ),
  fallback: field(
    z
      .boolean({ error: 'must be true or false' })
      .describe('Whether the configured fallbacks may answer when the generator fails. Default true'),
    'boolean',
  ),
  clear_queue: experimance(
    z
      .boolean({ error: 'must be true or false' })
      .describe('Cancel what is queued or running for this generator through the same door first'),
    'boolean',
  ),
  metadata: field(
    z
      .record(text(1, 64), text(0, 1024), {
        error: ({ code }) =>
          code === 'invalid_key' ? 'must have keys of 1 to 64 Unicode characters' : 'must be an object of texts',
      })
      .refine((entries) => Object.keys(entries).length <= 16, { error: 'must have at most 16 keys' })
      .describe('Echoed in results and events'),
  ),
} as const satisfies Record<string, Field>;

/** Name of a field of a `RenderRequest`. */
export type RenderRequestField = keyof typeof renderRequestFields;

/** Fields that not every generator honours. All others are handled before a generator sees the work. */
export const OPTIONAL_FIELDS = [
  'negative_prompt',
  'steps',
  'guidance_scale',
  'strength',
  'style',
  'loras',
  'reference_image',
  'depth_map',
  'mask',
] as const satisfies readonly RenderRequestField[];
/** A field of `OPTIONAL_FIELDS`. */
export type OptionalField = (typeof OPTIONAL_FIELDS)[number];
