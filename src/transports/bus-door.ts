import type { Config } from '../config/schema.ts';
import type { AppError } from '../errors.ts';
import { asAppError } from '../errors.ts';
import type { BusImageReady, Place } from '../messages/bus.ts';
import type { ImageFormat } from '../messages/fields.ts';
import type { ProjectRules } from '../messages/projects.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import type { Logger } from '../render/logger.ts';
import type { Caller, LoggedEvent } from '../render/records.ts';
import type { BusExits } from './bus-exits.ts';
import type { BusInput, Framing } from './bus-messages.ts';
import { readBusMessage, toAlert, toBusMessage } from './bus-messages.ts';
import type { BusPaths } from './bus-paths.ts';

/** What the bus needs of the core. */
export interface BusRenderer {
  /** Resolves when the request is journalled. `replay`: the last events of a known render that has ended. */
  submit(call: {
    caller: Caller;
    request: RenderRequest;
    ignored: readonly string[];
    mode: 'tolerant';
  }): Promise<{ kind: 'accepted' | 'known'; replay: readonly LoggedEvent[] }>;
  /** Every journalled event after its commit, in order. Returns how to unsubscribe. */
  subscribe(listener: (event: LoggedEvent) => void): () => void;
  /**
   * Gives up what is queued for another place, but never the caller's newest request; resolves with how many.
   */
  supersedeStale(call: Caller & Place): Promise<number>;
  /** The bytes of an image, which is then safe for a while. Throws `image_evicted` when it is gone. */
  readImage(imageId: string, format: ImageFormat): Promise<Buffer>;
}

/** One message counted; every label comes from a small set. */
export interface BusCount {
  readonly direction: 'in' | 'out';
  /** In: `RenderRequest`, `SpaceTimeUpdate` or `other`. Out: `ImageReady`, `Alert` or `Heartbeat`. */
  readonly type: string;
  /**
   * In: `accepted`, `known`, `passing` (published for others), `stale` (a render that was given up) or an error code.
   * Out: what the outbox or the publisher says, `off` for an Alert nobody wants, `unplaced` for a mirrored image
   * without the place that the core demands.
   */
  readonly outcome: string;
}

/** The bus without its sockets: messages in, messages out. */
export interface BusDoor {
  /** Journals the request in a message, or says why not. Never rejects: no message may stop the next. */
  take(frames: readonly Buffer[], framing: Framing): Promise<void>;
  /** Tells the bus of an event that concerns it. Never throws. */
  publish(logged: LoggedEvent): void;
  /** Resolves when everything that was published has gone out of the door. */
  settled(): Promise<void>;
}

/** Options of `createBusDoor`. */
export interface BusDoorOptions {
  readonly config: Pick<Config['bus'], 'mirror' | 'drop_stale' | 'image_transport'>;
  readonly rules: Pick<ProjectRules, 'placeRequired' | 'foreign'>;
  readonly renders: BusRenderer;
  readonly paths: BusPaths;
  readonly exits: BusExits;
  readonly log: Logger;
  readonly count: (message: BusCount) => void;
}

const CALLER: Caller = { owner: 'bus', door: 'bus' };
/** How many types that are not served are remembered, so that the log tells of each once. */
const MAX_TYPES = 64;

/** The door between the bus's messages and the core. */
export function createBusDoor(options: BusDoorOptions): BusDoor {
  const { config, rules, renders, paths, exits, log, count } = options;
  const seenTypes = new Set<string>();
  let settled: Promise<void> = Promise.resolve();

  async function take(frames: readonly Buffer[], framing: Framing): Promise<void> {
    const input = readBusMessage(frames, framing, rules.foreign);
    try {
      if (input.kind === 'request') await submit(input);
      else if (input.kind === 'place') await moveTo(input);
      else if (input.kind === 'passing') count({ direction: 'in', type: input.type, outcome: 'passing' });
      else refuse(input, input.error);
    } catch (error) {
      refuse({ requestId: null, answer: input.kind === 'request', ...input }, asAppError(error), error);
    }
  }

  async function submit({ type, requestId, request, ignored }: BusInput & { kind: 'request' }): Promise<void> {
    const call = { caller: CALLER, request: paths.inward(request), ignored, mode: 'tolerant' } as const;
    const { kind, replay } = await renders.submit(call);
    count({ direction: 'in', type, outcome: kind });
    log.debug({ request_id: shortened(requestId), kind, ignored }, 'Bus request taken');
    for (const logged of replay) {
      // An image of long ago may have been given up, and what is shown again is used again.
      if (logged.event.type === 'ImageReady') await renders.readImage(logged.event.image_id, logged.event.format);
      publish(logged);
    }
  }

  async function moveTo({ type, era, biome }: BusInput & { kind: 'place' }): Promise<void> {
    const dropped = config.drop_stale ? await renders.supersedeStale({ ...CALLER, era, biome }) : 0;
    count({ direction: 'in', type, outcome: 'accepted' });
    for (let render = 0; render < dropped; render += 1) count({ direction: 'in', type, outcome: 'stale' });
    if (dropped > 0)
      log.info({ era, biome, renders: dropped }, 'Renders for places that the core has left are given up');
  }

  function refuse(
    input: Pick<BusInput & { kind: 'refused' }, 'requestId' | 'answer' | 'unsupported'> & { type: string },
    error: AppError,
    err: unknown = error,
  ): void {
    const { type, requestId, answer } = input;
    count({ direction: 'in', type, outcome: error.code });
    const about = { request_id: shortened(requestId), code: error.code, err };
    log[levelOf(error, input.unsupported)](about, 'Bus request refused');
    if (answer) exits.alert(toAlert(requestId, error));
  }

  function levelOf({ code }: AppError, unsupported: string | undefined): 'error' | 'warn' | 'debug' {
    if (code === 'internal') return 'error';
    if (unsupported === undefined) return 'warn';
    if (seenTypes.has(unsupported) || seenTypes.size >= MAX_TYPES) return 'debug';
    seenTypes.add(unsupported);
    return 'warn';
  }

  function publish({ door, event }: LoggedEvent): void {
    if (event.type === 'GeneratorState') exits.generatorState(event);
    if (door !== 'bus' && !(config.mirror && event.type === 'ImageReady')) return;
    try {
      const message = toBusMessage(event);
      if (message?.type === 'Alert') exits.alert(message);
      else if (message !== undefined) publishImage(message);
    } catch (err) {
      log.error({ err, type: event.type, seq: event.seq }, 'An event cannot be told on the bus');
      if ('request_id' in event) exits.alert(toAlert(event.request_id, asAppError(err)));
    }
  }

  function publishImage(image: BusImageReady): void {
    // The project's core would discard it.
    if (rules.placeRequired && (image.era === undefined || image.biome === undefined)) {
      count({ direction: 'out', type: image.type, outcome: 'unplaced' });
      return;
    }
    const message = { ...image, uri: paths.outward(image.uri) };
    if (config.image_transport === 'file_uri') exits.image(message);
    // One after the other, so that they leave in their order.
    else settled = settled.then(() => publishWithBytes(message));
  }

  async function publishWithBytes(image: BusImageReady): Promise<void> {
    const { type, request_id, uri, prompt, era, biome, image_id, ...rest } = image;
    try {
      const bytes = await renders.readImage(image_id, image.format);
      const image_data = `data:image/${image.format};base64,${bytes.toString('base64')}`;
      exits.image({ type, request_id, uri, prompt, era, biome, image_id, image_data, ...rest });
    } catch (err) {
      log.error({ err, request_id: shortened(request_id) }, 'An image cannot be read for the bus');
      exits.alert(toAlert(request_id, asAppError(err)));
    }
  }

  return { take, publish, settled: () => settled };
}

/** Ids on the bus may have any length; log lines not. */
function shortened(requestId: string | null): string | undefined {
  return requestId?.slice(0, 200);
}
