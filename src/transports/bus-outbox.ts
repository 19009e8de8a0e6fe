/** Most that waits, in bytes: then the oldest go. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** A message on its way out. `type` is for counting. */
export interface OutgoingMessage {
  readonly type: string;
  readonly bytes: Buffer;
}

/** What the outbox needs of its surroundings. */
export interface OutboxOptions {
  /** Most messages that wait. */
  readonly maxMessages: number;
  /** Default 64 MiB. One message may be larger. */
  readonly maxBytes?: number;
  /** Hands a message on; never called again before it has settled. */
  readonly send: (bytes: Buffer) => Promise<void>;
  /** Hears what became of each message, once. `failed` comes with the error of `send`. */
  readonly onEnd: (message: OutgoingMessage, outcome: 'sent' | 'dropped' | 'failed', error?: unknown) => void;
}

/**
 * Messages that wait for a peer, in order and bounded: whoever puts one in never waits, and pays with the oldest.
 * Starts paused.
 */
export interface Outbox {
  put(message: OutgoingMessage): void;
  /** Hands on what waits, and what comes, until `pause`. */
  resume(): void;
  pause(): void;
  /** Messages that wait or are being handed on. */
  readonly size: number;
  /** Resolves as soon as `size` is 0. */
  empty(): Promise<void>;
  /** Drops what waits, and whatever comes later. */
  close(): void;
}

/** An outbox in front of a socket that bears only one pending send. */
export function createOutbox({ maxMessages, maxBytes = MAX_WAITING_BYTES, send, onEnd }: OutboxOptions): Outbox {
  const waiting: OutgoingMessage[] = [];
  const whenEmpty: (() => void)[] = [];
  let waitingBytes = 0;
  let running = false;
  let closed = false;
  let sending = false;

  function take(): OutgoingMessage | undefined {
    const message = waiting.shift();
    waitingBytes -= message?.bytes.length ?? 0;
    return message;
  }

  function drop(isTooMuch: () => boolean): void {
    while (isTooMuch()) {
      const oldest = take();
      if (oldest === undefined) return;
      onEnd(oldest, 'dropped');
    }
  }

  async function handOn(message: OutgoingMessage): Promise<void> {
    try {
      await send(message.bytes);
      onEnd(message, 'sent');
    } catch (error) {
      // The socket was closed while the message waited in it.
      if (closed) onEnd(message, 'dropped');
      else onEnd(message, 'failed', error);
    }
  }

  async function run(): Promise<void> {
    if (sending) return;
    sending = true;
    while (running) {
      const message = take();
      if (message === undefined) break;
      await handOn(message);
    }
    sending = false;
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
      if (closed) return onEnd(message, 'dropped');
      waiting.push(message);
      waitingBytes += message.bytes.length;
      drop(() => waiting.length > maxMessages || (waitingBytes > maxBytes && waiting.length > 1));
      if (running) void run();
    },
    resume() {
      running = !closed;
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
