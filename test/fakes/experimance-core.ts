import { z } from 'zod';
import type { PeerMessage, PythonRequestFields } from './core-peer.ts';
import { pythonRenderRequest, startCorePeer, startCorePublisher } from './core-peer.ts';

/** Where in time and space a core is. */
export interface CorePlace {
  readonly era: string;
  readonly biome: string;
}

/** An image that the core had the display show. */
export interface ShownImage extends CorePlace {
  readonly request_id: string;
  readonly uri: string;
}

/** A core that judges answers as Experimance's does: by their form, and by whether they are for where it is now. */
export interface ExperimanceCore {
  /** For `[bus]`. */
  readonly addresses: { readonly requests: string; readonly results: string; readonly events: string };
  /** Resolves when a server listens to what it publishes. */
  readonly listenedTo: Promise<void>;
  /** Goes to a place and asks for its image. */
  moveTo(place: CorePlace, fields: Omit<PythonRequestFields, 'era' | 'biome'>): Promise<void>;
  /** Images on the display, in order. Like the real core it asks nobody which request they answer. */
  readonly shown: readonly ShownImage[];
  /** Ids of images for a place where it is no longer. */
  readonly discarded: readonly string[];
  /** What was no image at all: logged there as an error, without harm. */
  readonly refused: readonly PeerMessage[];
  /** Resolves when so many answers have been judged. */
  judged(count: number): Promise<void>;
  close(): Promise<void>;
}

/** What the core's schema of `ImageReady` demands. The type may be missing; other fields are dropped. */
const imageReady = z.object({
  type: z.literal('ImageReady').optional(),
  request_id: z.string().min(1),
  uri: z.string().min(1),
  era: z.string(),
  biome: z.string(),
});

/** Starts such a core on free ports, or where another one has been. */
export async function startExperimanceCore(
  start: CorePlace,
  at: Partial<ExperimanceCore['addresses']> = {},
): Promise<ExperimanceCore> {
  const peer = await startCorePeer(at);
  const publisher = await startCorePublisher(at.events);
  const shown: ShownImage[] = [];
  const discarded: string[] = [];
  const refused: PeerMessage[] = [];
  const watchers = new Set<() => void>();
  let current = start;
  let closing = false;
  const judging = judgeAll();

  async function judgeAll(): Promise<void> {
    for (;;) {
      const message = await peer.next().catch((error: unknown) => {
        if (closing) return undefined;
        throw error;
      });
      if (message === undefined) return;
      await judge(message);
      for (const watch of watchers) watch();
    }
  }

  async function judge(message: PeerMessage): Promise<void> {
    const { success, data } = imageReady.safeParse(message);
    if (!success) {
      refused.push(message);
      return;
    }
    const { request_id, uri, era, biome } = data;
    if (era !== current.era || biome !== current.biome) {
      discarded.push(request_id);
      return;
    }
    shown.push({ request_id, uri, era, biome });
    await publish({ type: 'DisplayMedia', content_type: 'image', request_id, era, biome, uri });
    await publish({ type: 'SpaceTimeUpdate', era, biome, timestamp: null, tags: null });
  }

  /** As Python's `json.dumps` writes it, with a space behind each separator. */
  async function publish(message: PeerMessage & { readonly type: string }): Promise<void> {
    const fields = Object.entries(message).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
    await publisher.publish(message.type, `{${fields.join(', ')}}`);
  }

  return {
    addresses: { requests: peer.requests, results: peer.results, events: publisher.events },
    listenedTo: publisher.subscribed,
    async moveTo(place, fields) {
      current = place;
      await peer.send(pythonRenderRequest({ ...fields, ...place }));
    },
    shown,
    discarded,
    refused,
    judged: (count) =>
      new Promise((resolve) => {
        const watch = () => {
          if (shown.length + discarded.length + refused.length < count) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
      }),
    async close() {
      closing = true;
      publisher.close();
      await peer.close();
      await judging;
    },
  };
}
