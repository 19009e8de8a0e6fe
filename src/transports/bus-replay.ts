import type { WaitingMessage } from './bus-outbox.ts';

/** A message on its way out. */
export interface OutgoingMessage {
  /** For counting, and the topic where messages have one. */
  readonly type: string;
  readonly bytes: Buffer;
  /** Era and biome that an image is for; absent in what is no image. */
  readonly place?: string;
}

/** What a peer that was away is still sent. */
export interface ReplayRules {
  /** Older messages mean nothing to it any more. */
  readonly maxAgeMs: number;
  /** Whether it shows one image of a place at a time, so that only the newest counts. */
  readonly newestOfPlace: boolean;
}

/**
 * Of messages in order, those that a peer is still to be sent, and the rest. `asksSince`: when the peer began to ask
 * again; what was put in from then on may answer it, and gives way to nothing newer.
 */
export function selectForReplay(
  messages: readonly WaitingMessage[],
  { maxAgeMs, newestOfPlace }: ReplayRules,
  { now, asksSince }: { readonly now: number; readonly asksSince: number },
): { chosen: WaitingMessage[]; rest: WaitingMessage[] } {
  const newest = new Map(messages.map((one) => [one.message.place, one]));
  const isChosen = (one: WaitingMessage) => {
    if (now - one.at > maxAgeMs) return false;
    if (one.at >= asksSince) return true;
    return !newestOfPlace || one.message.place === undefined || newest.get(one.message.place) === one;
  };
  return { chosen: messages.filter(isChosen), rest: messages.filter((one) => !isChosen(one)) };
}

/** Images that were handed on within `maxAgeMs`, bounded as the outbox is. */
export function createRecent(limits: { maxMessages: number; maxBytes: number; maxAgeMs: number }) {
  let messages: WaitingMessage[] = [];
  let bytes = 0;

  function forgetWhile(isTooMuch: () => boolean): void {
    while (messages.length > 0 && isTooMuch()) bytes -= messages.shift()?.message.bytes.length ?? 0;
  }

  return {
    note(one: WaitingMessage, now: number): void {
      // An Alert that is late helps nobody, and the same one twice looks like two failures.
      if (one.message.place === undefined) return;
      messages.push({ ...one, again: true });
      bytes += one.message.bytes.length;
      forgetWhile(() => now - (messages[0]?.at ?? now) > limits.maxAgeMs);
      forgetWhile(() => messages.length > limits.maxMessages || bytes > limits.maxBytes);
    },
    takeAll(): WaitingMessage[] {
      const all = messages;
      messages = [];
      bytes = 0;
      return all;
    },
  };
}
