import { Pull, Push, Subscriber, XPublisher } from 'zeromq';

/** A message as the core's PULL got it: parsed where it is one frame of JSON, else its frames. */
export type PeerMessage = Record<string, unknown>;

/** The core's side of the bus, on real sockets with the options of the real one: none. */
export interface CorePeer {
  /** Where requests are handed out; for `[bus] requests`. */
  readonly requests: string;
  /** Where results are taken; for `[bus] results`. */
  readonly results: string;
  /** Everything that came, in order, also what `next` has handed out. */
  readonly received: readonly PeerMessage[];
  /** One message: an object as JSON, a string or bytes as they are, a list as frames. Waits for a worker. */
  send(message: object | string | Uint8Array | readonly (string | Uint8Array)[]): Promise<void>;
  /** The oldest message that matches and was not handed out yet; waits for one. Rejects when the peer closes. */
  next(matches?: (message: PeerMessage) => boolean): Promise<PeerMessage>;
  /** The next message about a request. */
  answerTo(requestId: string | null): Promise<PeerMessage>;
  /** Lets go of both ports at once; what was not sent is lost. */
  close(): Promise<void>;
}

/** A core that listens on the given endpoints, by default on free ports. */
export async function startCorePeer(at: { requests?: string; results?: string } = {}): Promise<CorePeer> {
  const push = new Push({ linger: 0 });
  const pull = new Pull({ linger: 0 });
  await bind(push, at.requests ?? 'tcp://127.0.0.1:*');
  await bind(pull, at.results ?? 'tcp://127.0.0.1:*');

  const inbox = createInbox(pull, parse);

  return {
    requests: push.lastEndpoint ?? '',
    results: pull.lastEndpoint ?? '',
    received: inbox.received,
    async send(message) {
      const isRaw = typeof message === 'string' || message instanceof Uint8Array;
      if (isRaw) await push.send(message);
      else if (Array.isArray(message)) await push.send([...message]);
      else await push.send(JSON.stringify(message));
    },
    next: inbox.next,
    answerTo: (requestId) => inbox.next((message) => message.request_id === requestId),
    async close() {
      push.close();
      await inbox.close();
    },
  };
}

/** What a reading socket got, for tests to wait for. */
function createInbox(
  socket: AsyncIterable<readonly Buffer[]> & { close(): void },
  read: (frames: readonly Buffer[]) => PeerMessage,
) {
  const received: PeerMessage[] = [];
  const unread: PeerMessage[] = [];
  const waiting = new Set<{
    matches: (message: PeerMessage) => boolean;
    resolve: (message: PeerMessage) => void;
    reject: (reason: Error) => void;
  }>();
  const reading = readAll();

  async function readAll(): Promise<void> {
    for await (const frames of socket) {
      const message = read(frames);
      received.push(message);
      const taker = [...waiting].find(({ matches }) => matches(message));
      if (taker === undefined) {
        unread.push(message);
      } else {
        waiting.delete(taker);
        taker.resolve(message);
      }
    }
  }

  function next(matches: (message: PeerMessage) => boolean = () => true): Promise<PeerMessage> {
    const index = unread.findIndex(matches);
    const [found] = index === -1 ? [] : unread.splice(index, 1);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => waiting.add({ matches, resolve, reject }));
  }

  return {
    received,
    next,
    async close() {
      socket.close();
      await reading;
      for (const { reject } of waiting) reject(new Error('The core peer was closed.'));
    },
  };
}

/** Somebody who listens to what is published, as a display does; `topic` is added to each message. */
export interface Listener {
  readonly received: readonly PeerMessage[];
  next(matches?: (message: PeerMessage) => boolean): Promise<PeerMessage>;
  close(): Promise<void>;
}

/** A SUB that connects, with Experimance's framing: one frame, topic, space, JSON. */
export function startListener(address: string, topics: readonly string[] = ['']): Listener {
  const socket = new Subscriber({ linger: 0 });
  socket.subscribe(...topics);
  socket.connect(address);
  return createInbox(socket, (frames) => {
    const text = String(frames[0]);
    const space = text.indexOf(' ');
    return { topic: text.slice(0, space), ...parse([Buffer.from(text.slice(space + 1))]), frames: frames.length };
  });
}

/** A core's PUB, on real sockets. */
export interface CorePublisher {
  /** For `[bus] events`. */
  readonly events: string;
  /** Resolves when somebody subscribes; rejects when nobody has until `close`. */
  readonly subscribed: Promise<void>;
  /** One frame; an object as JSON behind its topic, text as it is. */
  publish(topic: string, message: object | string): Promise<void>;
  /** Frames as they are. */
  publishRaw(...frames: (string | Uint8Array)[]): Promise<void>;
  close(): void;
}

/** A PUB that binds, by default on a free port. */
export async function startCorePublisher(at = 'tcp://127.0.0.1:*'): Promise<CorePublisher> {
  const socket = new XPublisher({ linger: 0 });
  await bind(socket, at);
  const subscribed = socket.receive().then(() => undefined);
  // Not every test waits for it.
  subscribed.catch(() => undefined);
  return {
    events: socket.lastEndpoint ?? '',
    subscribed,
    publish: (topic, message) =>
      socket.send(`${topic} ${typeof message === 'string' ? message : JSON.stringify(message)}`),
    publishRaw: (...frames) => socket.send(frames),
    close: () => socket.close(),
  };
}

/** The port of a peer that has just been closed is free only after libzmq's own thread has let go of it. */
async function bind(socket: Push | Pull | XPublisher, endpoint: string): Promise<void> {
  for (;;) {
    try {
      await socket.bind(endpoint);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function parse(frames: readonly Buffer[]): PeerMessage {
  if (frames.length === 1) {
    try {
      return JSON.parse(String(frames[0])) as PeerMessage;
    } catch {
      // Kept as it came, so that a test sees what is wrong with it.
    }
  }
  return { frames: frames.map(String) };
}

/** What a test sets of a request; the rest is null or Experimance's default. */
export interface PythonRequestFields {
  request_id: string;
  prompt?: string;
  generator?: string;
  negative_prompt?: string;
  style?: string;
  width?: number;
  height?: number;
  seed?: number;
  /** Bytes, or an address. */
  reference_image?: Uint8Array | string;
  /** Bytes, or an address. */
  depth_map?: Uint8Array | string;
  clear_queue?: boolean;
  /** Null leaves the key out, as the project `fire` does. */
  era?: string | null;
  biome?: string | null;
}

/** A request as pydantic writes it in the project `experimance`: every field, unset ones as null, compact. */
export function pythonRenderRequest(fields: PythonRequestFields): string {
  const { era = 'wilderness', biome = 'desert' } = fields;
  return JSON.stringify({
    type: 'RenderRequest',
    request_id: fields.request_id,
    prompt: fields.prompt ?? 'an aerial view of a river delta',
    generator: fields.generator ?? null,
    negative_prompt: fields.negative_prompt ?? null,
    style: fields.style ?? null,
    width: fields.width ?? 1024,
    height: fields.height ?? 1024,
    seed: fields.seed ?? null,
    reference_image: imageSource(fields.reference_image),
    depth_map: imageSource(fields.depth_map),
    clear_queue: fields.clear_queue ?? false,
    ...(era === null ? {} : { era }),
    ...(biome === null ? {} : { biome }),
  });
}

function imageSource(image: Uint8Array | string | undefined): object | null {
  if (image === undefined) return null;
  if (typeof image === 'string') return { image_data: null, uri: image };
  return { image_data: `data:image/png;base64,${Buffer.from(image).toString('base64')}`, uri: null };
}
