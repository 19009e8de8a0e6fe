import type { Clock } from '../render/clock.ts';
import type { OutgoingMessage, ReplayRules } from './bus-replay.ts';
import { createRecent, selectForReplay } from './bus-replay.ts';

/** Most that waits, in bytes: then the oldest go. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/**
 * What became of a message: handed on, handed on once more after the peer was away, dropped for lack of room or at the
 * end, too old or not the newest when the peer came back, or refused by the socket.
 */
export type OutboxOutcome = 'sent' | 'resent' | 'dropped' | 'stale' | 'failed';

/** What the outbox needs of its surroundings. */
export interface OutboxOptions {
  /** Most messages that wait. */
  readonly maxMessages: number;
  /** Default 64 MiB. One message may be larger. */
  readonly maxBytes?: number;
  /** What a peer that comes back is still sent. */
  readonly replay: ReplayRules;
  readonly clock: Pick<Clock, 'elapsed'>;
  /**
   * Hands a message on, or says `busy` when the peer does not take it yet; never called again before it has settled.
   */
  readonly send: (message: OutgoingMessage) => Promise<'sent' | 'busy'>;
  /** Hears what became of each message, once; `resent` comes beside that. `failed` comes with the error of `send`. */
  readonly onEnd: (message: OutgoingMessage, outcome: OutboxOutcome, error?: unknown) => void;
}

/**
 * Messages that wait for a peer, in order and bounded: whoever puts one in never waits, and pays with the oldest.
 * Starts paused.
 */
export interface Outbox {
  put(message: OutgoingMessage): void;
  /**
   * The peer is back: hands on what the rules leave of what waits and of what it may have lost, then what comes.
   * `asksSince`, in ms of `Clock.elapsed`, when it has begun to ask before: what was put in since then answers it.
   */
  resume(asksSince?: number): void;
  pause(): void;
  /** Messages that wait or are being handed on. */
  readonly size: number;
  /** Resolves as soon as `size` is 0. */
  empty(): Promise<void>;
  /** Drops what waits, and whatever comes later. */
  close(): void;
}

/** A message with the time it was put in, in ms of `Clock.elapsed`. */
export interface WaitingMessage {
  readonly message: OutgoingMessage;
  readonly at: number;
  /** Whether it was handed on before. */
  readonly again: boolean;
}

/** An outbox in front of a socket that bears only one pending send. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { maxMessages, maxBytes = MAX_WAITING_BYTES, replay, clock, send, onEnd } = options;
  const recent = createRecent({ maxMessages, maxBytes, maxAgeMs: replay.maxAgeMs });
  const whenEmpty: (() => void)[] = [];
  let waiting: WaitingMessage[] = [];
  let waitingBytes = 0;
  let running = false;
  let closed = false;
  let sending = false;

  function take(): WaitingMessage | undefined {
    const next = waiting.shift();
    waitingBytes -= next?.message.bytes.length ?? 0;
    return next;
  }

  function end({ message, again }: WaitingMessage, outcome: OutboxOutcome, error?: unknown): void {
    // What was handed on before has been counted.
    if (again && outcome !== 'sent') return;
    onEnd(message, again ? 'resent' : outcome, error);
  }

  function drop(isTooMuch: () => boolean): void {
    while (isTooMuch()) {
      const oldest = take();
      if (oldest === undefined) return;
      end(oldest, 'dropped');
    }
  }

  /** Libzmq says "sent" when it has a message, and the peer may have died with it: the recent ones count as waiting. */
  function chooseForReplay(asksSince: number): void {
    const all = [...recent.takeAll(), ...waiting];
    const { chosen, rest } = selectForReplay(all, replay, { now: clock.elapsed(), asksSince });
    for (const one of rest) end(one, 'stale');
    waiting = chosen;
    waitingBytes = chosen.reduce((sum, { message }) => sum + message.bytes.length, 0);
  }

  async function handOn(one: WaitingMessage): Promise<void> {
    try {
      if ((await send(one.message)) === 'busy') {
        waiting.unshift(one);
        waitingBytes += one.message.bytes.length;
        return;
      }
      end(one, 'sent');
      recent.note(one, clock.elapsed());
    } catch (error) {
      // The socket was closed while the message waited in it.
      if (closed) end(one, 'dropped');
      else end(one, 'failed', error);
    }
  }

  async function run(): Promise<void> {
    if (sending) return;
    sending = true;
    while (running) {
      const next = take();
      if (next === undefined) break;
      await handOn(next);
    }
    sending = false;
    if (closed) drop(() => true);
    noteEmpty();
  }

  function size(): number {
    return waiting.length + (sending ? 1 : 0);
  }

  function noteEmpty(): void {
    if (size() === 0) for (const resolve of whenEmpty.splice(0)) resolve();
  }

  return {
    put(message) {
      const one = { message, at: clock.elapsed(), again: false };
      if (closed) return end(one, 'dropped');
      waiting.push(one);
      waitingBytes += message.bytes.length;
      drop(() => waiting.length > maxMessages || (waitingBytes > maxBytes && waiting.length > 1));
      if (running) void run();
    },
    resume(asksSince = Number.POSITIVE_INFINITY) {
      if (closed || running) return;
      running = true;
      chooseForReplay(asksSince);
      void run();
    },
    pause() {
      running = false;
    },
    get size() {
      return size();
    },
    empty() {
      return new Promise((resolve) => {
        whenEmpty.push(resolve);
        noteEmpty();
      });
    },
    close() {
      closed = true;
      running = false;
      drop(() => true);
      noteEmpty();
    },
  };
}
