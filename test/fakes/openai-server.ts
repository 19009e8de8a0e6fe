import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { createImages } from '../../src/store/convert.ts';
import type { Behaviour, ReceivedRequest, ScriptedUpstream } from './scripted-upstream.ts';
import { json, startScriptedUpstream } from './scripted-upstream.ts';
import { solidPng } from './solid-png.ts';

/** The key that the fake takes. */
export const OPENAI_KEY = 'sk-test-0123456789-never-in-a-log';

/** What is asked for: both submits cost. */
export type OpenAIRoute = 'generate' | 'edit' | 'file' | 'unknown';

/** The fake, as OpenAI's images API behaves by its documentation. */
export interface OpenAIServer extends ScriptedUpstream<OpenAIRoute> {
  /** As in `http://127.0.0.1:41234/v1`. */
  readonly baseUrl: string;
  /** How often it was asked for something that costs. */
  readonly submits: number;
  /** The parameters of every request that it took, parsed; of files, their sizes in bytes. */
  readonly taken: readonly Parameters[];
  /** The files of every edit, by name. */
  readonly files: readonly ReadonlyMap<string, Uint8Array>[];
}

const MODELS = [
  'gpt-image-1-mini',
  'gpt-image-1.5',
  'gpt-image-2',
  'gpt-image-2.5-flare',
  'gpt-image-2.5-sunburst',
  'compatible',
] as const;

const parametersSchema = z.strictObject({
  model: z.enum(MODELS),
  prompt: z.string().min(1).max(32_000),
  size: z.string(),
  quality: z.enum(['auto', 'low', 'medium', 'high', 'xhigh', 'max']),
  n: z.coerce.number().int().min(1).max(10),
  output_format: z.enum(['png', 'jpeg', 'webp']).optional(),
  moderation: z.enum(['auto', 'low']).optional(),
  stream: z.union([z.boolean(), z.literal('true')]).optional(),
  partial_images: z.coerce.number().int().min(0).max(3).optional(),
});

/** A request's parameters. */
export type Parameters = z.infer<typeof parametersSchema> & { readonly image?: number; readonly mask?: number };

/** Options of `startOpenAIServer`. */
export interface OpenAIServerOptions {
  /** Ms between the head of an answer and its images, and between the events of a stream. Default 0. */
  readonly paceMs?: number;
  /** Whether answers hold links, as some compatible servers send them. */
  readonly links?: boolean;
  /** Drawn in the place of an image of one colour, whatever size is asked for. */
  readonly picture?: Buffer;
  /** Whether tokens are counted, which compatible servers do not do. Default true. */
  readonly usage?: boolean;
}

const images = createImages({ maxPixels: 2 ** 24, maxBytes: 2 ** 26 });

/** Starts the fake on a free port. */
export async function startOpenAIServer(options: OpenAIServerOptions = {}): Promise<OpenAIServer> {
  const taken: Parameters[] = [];
  const uploads: ReadonlyMap<string, Uint8Array>[] = [];
  const links = new Map<string, Uint8Array>();
  const written = new WeakMap<Buffer, string>();
  const upstream = await startScriptedUpstream<OpenAIRoute>((method, url) => {
    if (method === 'POST' && url.pathname === '/v1/images/generations') return { name: 'generate', answer: draw };
    if (method === 'POST' && url.pathname === '/v1/images/edits') return { name: 'edit', answer: draw };
    if (method === 'GET' && links.has(url.pathname)) return { name: 'file', answer: sendFile };
    return { name: 'unknown', answer: openaiError(404, 'not_found') };
  });

  const draw: Behaviour = (response, request) => {
    void answerTo(request).then((behaviour) => behaviour(response, request));
  };

  const sendFile: Behaviour = (response, { path }) => {
    response.writeHead(200, { 'content-type': 'image/png' }).end(links.get(path));
  };

  async function answerTo(request: ReceivedRequest<string>): Promise<Behaviour> {
    if (request.headers.authorization !== `Bearer ${OPENAI_KEY}`) return openaiError(401, 'invalid_api_key');
    const sent = await readFields(request);
    const parsed = check(sent);
    if (!('model' in parsed)) return openaiError(400, 'invalid_value', parsed.param);
    taken.push(parsed);
    if (sent.files.size > 0) uploads.push(sent.files);
    const [width = 0, height = 0] = parsed.size.split('x').map(Number);
    const drawn = await Promise.all(
      Array.from({ length: parsed.n }, (_image, index) => options.picture ?? solidPng({ width, height }, index)),
    );
    return parsed.stream === undefined ? plain(parsed, drawn) : streamed(parsed, drawn, request.route);
  }

  function plain(parameters: Parameters, drawn: readonly Buffer[]): Behaviour {
    const data = drawn.map((bytes, index) => {
      // Base64 needs no escapes, and looking for them takes longer than all else here.
      if (options.links !== true) return `{"b64_json":"${base64Of(bytes)}"}`;
      const path = `/files/${taken.length}-${index}.png`;
      links.set(path, bytes);
      return JSON.stringify({ url: `${upstream.url}${path}` });
    });
    const rest = JSON.stringify({ created: 1_790_000_000, ...usageOf(parameters) });
    return async (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      await setTimeout(options.paceMs ?? 0);
      response.end(`${rest.slice(0, -1)},"data":[${data.join(',')}]}`);
    };
  }

  function streamed(parameters: Parameters, [bytes]: readonly Buffer[], route: string): Behaviour {
    const kind = route === 'edit' ? 'image_edit' : 'image_generation';
    const shared = { b64_json: bytes?.toString('base64'), created_at: 1_790_000_000, size: parameters.size };
    const partials = Array.from({ length: parameters.partial_images ?? 0 }, (_partial, index) =>
      sse(`${kind}.partial_image`, { ...shared, partial_image_index: index }),
    );
    const completed = sse(`${kind}.completed`, { ...shared, ...usageOf(parameters) });
    return eventStream([...partials, completed], options.paceMs);
  }

  /** A picture is written out once, however often it is sent. */
  function base64Of(bytes: Buffer): string {
    const known = written.get(bytes) ?? bytes.toString('base64');
    written.set(bytes, known);
    return known;
  }

  function usageOf({ prompt, quality, n, image }: Parameters) {
    if (options.usage === false) return {};
    const text_tokens = Math.ceil(prompt.length / 4);
    const image_tokens = image === undefined ? 0 : 320;
    const output_tokens = n * (quality === 'low' ? 272 : quality === 'medium' ? 1056 : 4160);
    const usage = {
      input_tokens: text_tokens + image_tokens,
      input_tokens_details: { text_tokens, image_tokens },
      output_tokens,
      total_tokens: text_tokens + image_tokens + output_tokens,
    };
    return { usage };
  }

  return {
    ...upstream,
    baseUrl: `${upstream.url}/v1`,
    taken,
    files: uploads,
    get submits() {
      return upstream.count('generate') + upstream.count('edit');
    },
  };
}

/** An error as OpenAI sends it; its text must never be repeated. */
export function openaiError(status: number, code: string, param: string | null = null): Behaviour {
  const error = { message: 'UPSTREAM-TEXT that no caller may see', type: 'invalid_request_error', param, code };
  return json({ error }, status);
}

/** One event of a stream. */
export function sse(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** Sends events, and ends the stream as if that were all. */
export function eventStream(events: readonly string[], paceMs = 0): Behaviour {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    for (const event of events) {
      await setTimeout(paceMs);
      response.write(event);
    }
    response.end();
  };
}

interface SentFields {
  readonly fields: unknown;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

async function readFields({ route, headers, body }: ReceivedRequest<string>): Promise<SentFields> {
  if (route !== 'edit') return { fields: JSON.parse(body.toString()), files: new Map() };
  const type = headers['content-type'] ?? '';
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  const fields: Record<string, string> = {};
  const files = new Map<string, Uint8Array>();
  for (const [name, value] of form) {
    if (typeof value === 'string') fields[name] = value;
    else files.set(name, await readImage(name, value));
  }
  if (!files.has('image')) throw new Error('an edit without an image');
  return { fields, files };
}

/** Images must be what they say. */
async function readImage(name: string, file: Blob): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { format } = await images.inspect(bytes);
  if (file.type !== `image/${format}`) throw new Error(`${name} is ${format} and says ${file.type}`);
  return bytes;
}

/** The parameters, or the name of the one that is wrong. */
function check({ fields, files }: SentFields): Parameters | { param: string } {
  const { data, error } = parametersSchema.safeParse(fields);
  if (data === undefined) return { param: error.issues[0]?.path.join('.') ?? '' };
  const sizes = Object.fromEntries([...files].map(([name, { length }]) => [name, length]));
  return drawable(data.model, data.size) ? { ...data, ...sizes } : { param: 'size' };
}

function drawable(model: string, size: string): boolean {
  const [width = 0, height = 0] = size.split('x').map(Number);
  if (model === 'compatible') return width >= 64 && height >= 64;
  if (model.startsWith('gpt-image-1')) return ['1024x1024', '1536x1024', '1024x1536'].includes(size);
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const pixels = width * height;
  return (
    width % 16 === 0 &&
    height % 16 === 0 &&
    long <= 3 * short &&
    long <= 3840 &&
    pixels >= 655_360 &&
    pixels <= 8_294_400
  );
}
