import { z } from 'zod';
import type { Secret } from '../../config/secrets.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { InputImage } from '../generator.ts';
import { checkAddress } from '../remote/addresses.ts';
import type { UpstreamRequest } from '../remote/exchange.ts';
import { statusFailure } from '../remote/failures.ts';
import type { UpstreamAnswer, UpstreamHttp } from '../remote/http.ts';
import { readJson } from '../remote/json.ts';
import { readAgain } from '../remote/reads.ts';
import { PROVIDER } from './provider.ts';

const UPLOAD_MS = 60_000;
const TRIES = 3;

const initiated = z.object({ upload_url: z.url(), file_url: z.url({ protocol: /^https?$/ }) });

/** Options of `createInputSender`. */
export interface InputSenderOptions {
  readonly http: UpstreamHttp;
  readonly clock: Clock;
  readonly key: Secret;
  readonly uploadUrl: string;
  /** Hosts that files may be uploaded to. */
  readonly hosts: readonly string[];
  /** Largest image that goes within the request. */
  readonly inlineBytes: number;
}

/** Gives an input image an address that the endpoint can read: a `data:` URL, or a file at the provider. */
export type SendInput = (image: InputImage, signal: AbortSignal) => Promise<string>;

/** Creates the sender of input images. An upload costs nothing, so it is tried again when it fails in passing. */
export function createInputSender(options: InputSenderOptions): SendInput {
  const { http, clock, key, uploadUrl, hosts, inlineBytes } = options;
  const base = uploadUrl.replace(/\/$/, '');

  async function sendInput({ bytes, imageId }: InputImage, signal: AbortSignal): Promise<string> {
    const type = mediaTypeOf(bytes);
    if (bytes.length <= inlineBytes) return `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;
    return await readAgain(() => upload(bytes, type, imageId, signal), { clock, signal, tries: TRIES });
  }

  async function upload(bytes: Uint8Array, type: string, imageId: string, signal: AbortSignal): Promise<string> {
    const opened = await send({
      method: 'POST',
      url: `${base}/storage/upload/initiate?storage_type=fal-cdn-v3`,
      headers: { authorization: `Key ${key.reveal()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ content_type: type, file_name: `${imageId.slice(0, 16)}.${type.slice(6)}` }),
      signal,
    });
    const { upload_url, file_url } = readJson(initiated, opened.body, PROVIDER);
    const target = checkAddress(upload_url, { baseUrl: uploadUrl, hosts });
    await send({ method: 'PUT', ...target, headers: { 'content-type': type }, body: bytes, signal });
    return file_url;
  }

  async function send(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const answer = await http.exchange({ ...request, timeoutMs: UPLOAD_MS });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw statusFailure(answer, { provider: PROVIDER, clock, submits: false });
  }

  return sendInput;
}

/** By the file's first bytes; input images are PNG, JPEG or WebP. */
function mediaTypeOf(bytes: Uint8Array): string {
  if (bytes[0] === 0x89) return 'image/png';
  if (bytes[0] === 0xff) return 'image/jpeg';
  if (bytes[0] === 0x52) return 'image/webp';
  throw new AppError('invalid_image', 'The input image is not PNG, JPEG or WebP.');
}
