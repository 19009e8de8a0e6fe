import { z } from 'zod';
import type { Hello, RenderEvent, RenderProgress } from '../messages/events.ts';
import { eventBodies, hello, renderProgress } from '../messages/events.ts';
import { timestamp } from '../messages/outputs.ts';
import { ClientError } from './client-error.ts';

/** A message whose type this client knows. */
export type KnownMessage = Hello | RenderEvent | RenderProgress;

/** A message of the event stream; one of a type that only a newer server has is passed on as it came. */
export type StreamMessage = KnownMessage | { readonly type: string; readonly [key: string]: unknown };

const journalled = Object.entries(eventBodies).map(
  ([type, body]) => [type, body.extend({ type: z.literal(type), seq: z.int(), time: timestamp })] as const,
);
const schemas = new Map<string, z.ZodType>([['Hello', hello], ['RenderProgress', renderProgress], ...journalled]);
const anyMessage = z.looseObject({ type: z.string() });

/** Tells the messages that have a type of their own from the others. */
export function isKnownMessage(message: StreamMessage): message is KnownMessage {
  return schemas.has(message.type);
}

/** One text frame of the stream, with keys that the schemas do not know. Throws `unexpected_answer`. */
export function parseMessage(text: string): StreamMessage {
  const message = anyMessage.safeParse(jsonOf(text));
  const checked = message.success ? schemas.get(message.data.type)?.safeParse(message.data) : message;
  if (message.success && checked?.success !== false) return message.data;
  throw new ClientError('unexpected_answer', 'The event stream sent what an image server does not send.', {
    cause: checked?.error,
    retryable: false,
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
