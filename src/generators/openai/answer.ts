import { AppError } from '../../errors.ts';
import { malformedAnswer } from '../remote/failures.ts';
import type { UpstreamStream } from '../remote/http.ts';
import { parseJson, readJson } from '../remote/json.ts';
import { streamFailure } from './failures.ts';
import { PROVIDER } from './provider.ts';
import { readEvents } from './sse.ts';
import type { Answer, Usage } from './wire.ts';
import { answerSchema, streamEventSchema } from './wire.ts';

/** What a request brought, before its images are decoded or fetched. */
export interface Drawn {
  readonly images: Answer['data'];
  readonly usage: Usage | undefined;
}

/** Reads an answer that is not streamed. Throws `invalid_output`. */
export function readAnswer(body: Uint8Array): Drawn {
  const { data, usage } = readJson(answerSchema, body, PROVIDER);
  return { images: data, usage: usage ?? undefined };
}

/**
 * Reads a streamed answer to its final image; `onPartial` gets the base64 of each earlier one and is waited for.
 * Throws what an `error` event means, and `outcome_unknown` when the stream ends before the final image.
 */
export async function readStream(
  { body, leave }: Pick<UpstreamStream, 'body' | 'leave'>,
  onPartial: (base64: string) => Promise<void>,
): Promise<Drawn> {
  for await (const { event, data } of readEvents(body)) {
    const json = parseJson(Buffer.from(data));
    const found = streamEventSchema.safeParse(json).data;
    if (event === 'error' || found?.type === 'error') throw streamFailure(json);
    if (found === undefined) {
      // What has another name may be new, and means nothing to us.
      if (/\.(partial_image|completed)$/.test(event)) throw malformedAnswer(PROVIDER);
    } else if ('partial_image_index' in found) {
      await onPartial(found.b64_json);
    } else {
      // The server may keep the stream open; nothing more is wanted.
      leave('ok');
      return { images: [{ b64_json: found.b64_json }], usage: found.usage ?? undefined };
    }
  }
  throw new AppError('outcome_unknown', `${PROVIDER} ended its stream before the final image.`);
}
