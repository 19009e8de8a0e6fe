import { AppError, asAppError } from '../errors.ts';
import type { Alert, BusImageReady, Place } from '../messages/bus.ts';
import { busImageReady, spaceTimeUpdate } from '../messages/bus.ts';
import type { RenderRequestField } from '../messages/fields.ts';
import type { TolerantRequest } from '../messages/render-request.ts';
import { invalidRequest, parseTolerantRequest } from '../messages/render-request.ts';
import type { LoggedEvent } from '../render/records.ts';

/** Largest bus message that is read, in bytes: a large depth map fits many times over. */
export const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;
/** Deepest nesting that is read; a request has three levels. */
const MAX_DEPTH = 64;
/** How far behind its key an id may end in a message that is no JSON. */
const SALVAGE_BYTES = 64 * 1024;
/** How many places of such a message are looked at. */
const SALVAGE_TRIES = 16;

/** A bus message as read. `type` is a label for counting: only types that the bus serves, else `other`. */
export type BusInput =
  | ({ readonly kind: 'request'; readonly type: 'RenderRequest'; readonly requestId: string } & TolerantRequest)
  | {
      readonly kind: 'refused';
      readonly type: 'RenderRequest' | 'SpaceTimeUpdate' | 'other';
      /** Null when none can be read. */
      readonly requestId: string | null;
      readonly error: AppError;
      /** Whether whoever sent it waits for an answer. */
      readonly answer: boolean;
      /** Its type as sent, where it is one that is not served. */
      readonly unsupported?: string;
    }
  /** Where in time and space the core is now. */
  | ({ readonly kind: 'place'; readonly type: 'SpaceTimeUpdate' } & Place)
  /** Published for others. */
  | { readonly kind: 'passing'; readonly type: 'other' };

/** How a message came: `direct` to us alone and without a topic, or `published` to everybody behind its topic. */
export type Framing = 'direct' | 'published';

/** What the bus gets to hear. */
export type BusOutput = BusImageReady | Alert;

/** Types that ask for something that an image server made or may make. */
const ASKING = ['RenderRequest', 'AudioRenderRequest'];
/** Types that are themselves answers or signs of life: answering them could go on for ever. */
const ANSWERS = ['ImageReady', 'AudioReady', 'Alert', 'Heartbeat'];
/** Topics of render requests; Experimance's first version wrote the second under Python 3.11. */
const REQUEST_TOPICS = ['RenderRequest', 'MessageType.RENDER_REQUEST'];

/**
 * What a message of the given frames says; `foreign` are the fields that the project does not know. Whatever the frames
 * hold, the answer is a value: it never throws.
 */
export function readBusMessage(
  frames: readonly Buffer[],
  framing: Framing,
  foreign: readonly RenderRequestField[] = [],
): BusInput {
  const direct = framing === 'direct';
  let message: unknown;
  let topic: string | undefined;
  try {
    const frame = onlyFrame(frames);
    const topicEnd = direct ? 0 : topicLength(frame);
    topic = frame.toString('latin1', 0, Math.max(0, topicEnd - 1));
    message = parseJson(decodeText(frame.subarray(topicEnd)));
    refuseFlaws(message);
    if (!direct && isObject(message) && !ASKING.includes(String(message.type))) return readPublished(message);
    const fields = requestFields(message);
    const requestId = namedRequestId(fields);
    if (requestId === null) throw invalidRequest([{ path: 'request_id', message: 'must be text that is not empty' }]);
    return { kind: 'request', type: 'RenderRequest', requestId, ...parseTolerantRequest(fields, foreign) };
  } catch (error) {
    const said = isObject(message) ? message.type : undefined;
    const unsupported = asAppError(error).code === 'unsupported_message' ? shownType(said) : undefined;
    return {
      kind: 'refused',
      type: said === 'RenderRequest' || said === 'SpaceTimeUpdate' ? said : 'other',
      // An object says itself which id is its own; in anything else the first one that shows will do.
      requestId: isObject(message) ? namedRequestId(message) : firstSalvagedId(frames),
      error: asAppError(error),
      answer: direct ? !ANSWERS.includes(String(said)) : isAsking(said, topic),
      ...(unsupported === undefined ? {} : { unsupported }),
    };
  }
}

/** Of what everybody can read, only what asks an image server is answered. */
function isAsking(type: unknown, topic: string | undefined): boolean {
  return type === undefined ? REQUEST_TOPICS.includes(topic ?? '') : ASKING.includes(String(type));
}

/** How many bytes the topic and its space take; none when the JSON begins at once. */
function topicLength(frame: Buffer): number {
  return frame[0] === OPENING_BRACE ? 0 : frame.indexOf(' ') + 1;
}

const OPENING_BRACE = 0x7b;

function readPublished(message: Record<string, unknown>): BusInput {
  if (message.type !== 'SpaceTimeUpdate') return { kind: 'passing', type: 'other' };
  const place = spaceTimeUpdate.safeParse(message);
  if (place.success) return { kind: 'place', type: 'SpaceTimeUpdate', era: place.data.era, biome: place.data.biome };
  throw malformed('The update names no era and biome.');
}

/** What the bus hears of an event; undefined when nothing. Throws when an image's event lacks what the bus needs. */
export function toBusMessage(event: LoggedEvent['event']): BusOutput | undefined {
  switch (event.type) {
    case 'ImageReady':
      // The schema leaves out what is not the bus's, and puts Experimance's own fields first.
      return busImageReady.parse(event);
    case 'RenderFailed':
      return toAlert(event.request_id, event);
    case 'RenderCancelled':
      return toAlert(event.request_id, event, 'warning');
    default:
      return undefined;
  }
}

/** The Alert for a request that gets no image. */
export function toAlert(
  requestId: string | null,
  { code, message }: Pick<AppError, 'code' | 'message'>,
  severity: Alert['severity'] = 'error',
): Alert {
  return { type: 'Alert', request_id: requestId, severity, code, message };
}

function onlyFrame(frames: readonly Buffer[]): Buffer {
  const [frame] = frames;
  if (frame === undefined || frames.length > 1) {
    throw malformed(`The message has ${frames.length} frames; it must be one frame of JSON.`);
  }
  if (frame.length === 0) throw malformed('The message is empty; it must be one frame of JSON.');
  if (frame.length > MAX_MESSAGE_BYTES) {
    throw new AppError(
      'message_too_large',
      `The message has ${frame.length} bytes; at most ${MAX_MESSAGE_BYTES} are read.`,
    );
  }
  return frame;
}

function decodeText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw malformed('The message is not valid UTF-8.', cause);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed('The message is not valid JSON; NaN and Infinity are not part of it either.', cause);
  }
}

/** What JSON allows and nothing behind it can bear. Level by level, since nesting can be deeper than the stack. */
function refuseFlaws(root: unknown): void {
  let level: readonly object[] = [[root]];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw malformed(`The message is nested deeper than ${MAX_DEPTH} levels.`);
    const below: object[] = [];
    for (const container of level) {
      if (!Array.isArray(container)) Object.keys(container).forEach(refuseBrokenText);
      for (const value of Object.values(container)) {
        if (typeof value === 'object' && value !== null) below.push(value);
        else if (typeof value === 'string') refuseBrokenText(value);
        else if (typeof value === 'number' && !Number.isFinite(value))
          throw malformed('The message has a number that is too large.');
      }
    }
    level = below;
  }
}

function refuseBrokenText(text: string): void {
  if (!text.isWellFormed()) throw malformed('The message has text that is not Unicode: half of a surrogate pair.');
}

function requestFields(message: unknown): Record<string, unknown> {
  if (!isObject(message)) throw malformed('The message is not a JSON object.');
  if (message.type === 'RenderRequest') return message;
  const what =
    message.type === undefined ? 'Messages without a type' : `Messages of the type "${shownType(message.type)}"`;
  throw new AppError('unsupported_message', `${what} are not served here; RenderRequest is.`);
}

/** A type that somebody sent, short enough to show; empty when it is no text. */
function shownType(type: unknown): string {
  return typeof type === 'string' ? type.slice(0, 64).toWellFormed() : '';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function namedRequestId({ request_id: id }: Record<string, unknown>): string | null {
  return typeof id === 'string' && id !== '' ? id : null;
}

const ID_KEY = '"request_id"';
const ID_ENTRY = /^"request_id"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")/s;

function firstSalvagedId(frames: readonly Buffer[]): string | null {
  for (const frame of frames) {
    const id = salvageId(frame);
    if (id !== null) return id;
  }
  return null;
}

/** Looks at bytes, not text: the rest of the message may be huge, or no text. */
function salvageId(frame: Buffer): string | null {
  let at = frame.indexOf(ID_KEY);
  for (let tries = 0; at !== -1 && tries < SALVAGE_TRIES; tries++) {
    const literal = ID_ENTRY.exec(frame.toString('latin1', at, at + SALVAGE_BYTES))?.[1];
    const id = literal === undefined ? '' : readLiteral(Buffer.from(literal, 'latin1'));
    if (id !== '') return id;
    at = frame.indexOf(ID_KEY, at + ID_KEY.length);
  }
  return null;
}

/** The string behind a JSON literal; empty when it is none, since an id that was guessed at would not be verbatim. */
function readLiteral(bytes: Buffer): string {
  try {
    return String(parseJson(decodeText(bytes)));
  } catch {
    return '';
  }
}

function malformed(message: string, cause?: unknown): AppError {
  return new AppError('malformed_message', message, { cause });
}
