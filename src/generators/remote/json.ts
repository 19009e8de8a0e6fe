import { isAscii } from 'node:buffer';
import type { z } from 'zod';
import { malformedAnswer } from './failures.ts';

/** Reads an answer's body as JSON of this form. Throws `invalid_output`, without a word of what came. */
export function readJson<S extends z.ZodType>(schema: S, body: Uint8Array, provider: string): z.output<S> {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  // Paths and codes only: messages may quote what came.
  const places = parsed.error.issues.map(({ path, code }) => `${path.map(String).join('.')}: ${code}`);
  throw malformedAnswer(provider, new Error(`unexpected JSON at ${places.slice(0, 5).join(', ')}`));
}

/** The body as JSON, or `undefined` when it is none: providers and what stands before them also answer with HTML. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(body));
  } catch {
    return undefined;
  }
}

/** Images come as base64 in bodies of ASCII, which need not be decoded to be a text. */
function textOf(body: Uint8Array): string {
  if (isAscii(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}
