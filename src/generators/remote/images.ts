import { AppError } from '../../errors.ts';
import { decodeBase64 } from '../../messages/base64.ts';
import type { Clock } from '../../render/clock.ts';
import { checkAddress } from './addresses.ts';
import { statusFailure } from './failures.ts';
import type { UpstreamHttp, UpstreamStream } from './http.ts';
import { MAX_ANSWER_BYTES } from './http.ts';
import { readAgain } from './reads.ts';

const MAX_HOPS = 3;
const TRIES = 4;
const DOWNLOAD_MS = 60_000;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What storage answers for a link that is not valid any more. */
const GONE: ReadonlySet<number> = new Set([401, 403, 404, 410]);

/** Options of `createImageReader`. */
export interface ImageReaderOptions {
  readonly http: UpstreamHttp;
  readonly clock: Clock;
  readonly provider: string;
  /** The configured server: images on its own origin may be fetched, even on this machine. */
  readonly baseUrl: string;
  /** Other hosts that images may be fetched from, by https; `*.example.org` for all below. */
  readonly hosts: readonly string[];
}

/** Gets an image that a provider's answer names or holds. */
export interface ImageReader {
  /**
   * The image's encoded bytes, from a `data:` URL or a link. Links are fetched without any key, redirects only followed
   * among allowed hosts, and broken transfers tried again. Throws `unsafe_result_url`, `result_expired`,
   * `invalid_output`, `upstream_failed`, `upstream_timeout` or the signal's reason.
   */
  fetch(address: string, signal: AbortSignal): Promise<Uint8Array>;
  /** The same for plain base64 or a `data:` URL. Throws `invalid_output`. */
  decode(text: string): Uint8Array;
}

/** Creates the reader of a provider's images. */
export function createImageReader({ http, clock, provider, baseUrl, hosts }: ImageReaderOptions): ImageReader {
  const rules = { baseUrl, hosts };

  async function fetchImage(address: string, signal: AbortSignal): Promise<Uint8Array> {
    if (address.startsWith('data:')) return decode(address);
    return await readAgain(() => follow(address, signal), { clock, signal, tries: TRIES });
  }

  async function follow(address: string, signal: AbortSignal): Promise<Uint8Array> {
    let next = checkAddress(address, rules);
    for (let hops = 0; hops <= MAX_HOPS; hops += 1) {
      const answer = await http.open({ method: 'GET', ...next, signal, timeoutMs: DOWNLOAD_MS });
      if (answer.status === 200) return await readBody(answer);
      answer.leave('ok');
      if (!REDIRECTS.has(answer.status)) throw failure(answer);
      const location = answer.headers.location ?? '';
      next = checkAddress(URL.canParse(location, next.url.href) ? new URL(location, next.url).href : '', rules);
    }
    throw new AppError('upstream_failed', `${provider} redirects its image too often.`, { retryable: false });
  }

  /** What does not begin like an image is left at once, however much of it would come. */
  async function readBody({ body, leave }: UpstreamStream): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of body) {
      const known = bytes >= SIGNATURE_BYTES;
      parts.push(part);
      bytes += part.length;
      if (known || bytes < SIGNATURE_BYTES || isImage(Buffer.concat(parts))) continue;
      leave('ok');
      throw noImage(provider);
    }
    return checkImage(Buffer.concat(parts), provider);
  }

  function failure(answer: UpstreamStream): AppError {
    if (!GONE.has(answer.status)) return statusFailure(answer, { provider, clock, submits: false });
    return new AppError('result_expired', `The image at ${provider} is gone (HTTP ${answer.status}).`);
  }

  function decode(text: string): Uint8Array {
    const base64 = text.replace(/^data:[^,]{0,200},/, '');
    const bytes = base64.length > (MAX_ANSWER_BYTES * 4) / 3 + 4 ? undefined : decodeBase64(base64);
    if (bytes === undefined) {
      throw new AppError('invalid_output', `${provider} sent an image that is not base64 or too large.`);
    }
    return checkImage(bytes, provider);
  }

  return { fetch: fetchImage, decode };
}

const SIGNATURES = [
  { at: 0, bytes: Buffer.from('\x89PNG\r\n\x1a\n', 'latin1') },
  { at: 0, bytes: Buffer.from([0xff, 0xd8, 0xff]) },
  { at: 8, bytes: Buffer.from('WEBP', 'latin1') },
] as const;

/** So many bytes tell. */
const SIGNATURE_BYTES = 12;

/** The bytes as they are when they begin like PNG, JPEG or WebP. Throws `invalid_output`. The store decodes the rest. */
export function checkImage(bytes: Uint8Array, provider: string): Uint8Array {
  if (isImage(bytes)) return bytes;
  throw noImage(provider);
}

function isImage(bytes: Uint8Array): boolean {
  return SIGNATURES.some(({ at, bytes: start }) => start.equals(bytes.subarray(at, at + start.length)));
}

function noImage(provider: string): AppError {
  return new AppError('invalid_output', `${provider} sent something that is not a PNG, JPEG or WebP image.`);
}
