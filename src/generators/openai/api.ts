import type { Secret } from '../../config/secrets.ts';
import type { Clock } from '../../render/clock.ts';
import type { UpstreamHttp, UpstreamStream } from '../remote/http.ts';
import { MAX_ANSWER_BYTES } from '../remote/http.ts';
import type { Drawn } from './answer.ts';
import { readAnswer, readStream } from './answer.ts';
import { failureOf } from './failures.ts';
import type { PreparedRequest } from './request.ts';

/** One request for images. */
export interface Submission {
  readonly request: PreparedRequest;
  /** Our id of it, which OpenAI can be asked about. */
  readonly id: string;
  /** How many images were asked for, with previews: each may take 32 MiB. */
  readonly images: number;
  readonly signal: AbortSignal;
  /** Called when the request leaves: from then on it may be drawn. */
  onSent(): void;
  /** Called once the provider has begun to answer. */
  onAccepted(): void;
  /** Gets the base64 of a preview, and is waited for. */
  onPartial(base64: string): Promise<void>;
}

/** The part of OpenAI's API that draws. */
export interface OpenAIApi {
  /**
   * Asks once and reads the whole answer, streamed or not. Throws `content_rejected`, `outcome_unknown`,
   * `invalid_output`, `upstream_…`, or the signal's reason.
   */
  submit(submission: Submission): Promise<Drawn>;
}

/** Options of `createOpenAIApi`. */
export interface OpenAIApiOptions {
  readonly http: UpstreamHttp;
  readonly baseUrl: string;
  readonly key: Secret | undefined;
  readonly clock: Clock;
}

/**
 * The API over our own HTTP client. The official package would try again by itself, takes a stream that breaks off for
 * one that has ended, and bounds nothing.
 */
export function createOpenAIApi({ http, baseUrl, key, clock }: OpenAIApiOptions): OpenAIApi {
  const base = baseUrl.replace(/\/+$/, '');

  async function submit({ request, id, images, signal, onSent, onAccepted, onPartial }: Submission): Promise<Drawn> {
    const answer = await http.open({
      method: 'POST',
      url: `${base}${request.path}`,
      headers: {
        'content-type': request.contentType,
        'content-length': String(request.body.length),
        'x-client-request-id': id,
        ...(key === undefined ? {} : { authorization: `Bearer ${key.reveal()}` }),
      },
      body: request.body,
      signal,
      submits: true,
      onSent,
      maxBytes: images * MAX_ANSWER_BYTES,
    });
    try {
      if (answer.status < 200 || answer.status > 299) {
        throw failureOf({ ...answer, body: await readAll(answer) }, clock);
      }
      onAccepted();
      // A compatible server may not stream although it was asked to.
      const streamed = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      if (streamed) return await readStream(answer, onPartial);
      return readAnswer(await readAll(answer));
    } finally {
      answer.leave();
    }
  }

  return { submit };
}

async function readAll({ body }: UpstreamStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}
