import type { RenderProgress } from '../messages/events.ts';
import type { Journal } from './journal.ts';
import type { Links } from './links.ts';
import type { LoggedEvent } from './records.ts';

/** A committed event as transports send it. */
export interface PublishedEvent extends LoggedEvent {
  /** The event as one line of JSON, made once for all who send it; without paths that callers may not see. */
  readonly json: string;
}

/** Hears one kind of message. Must not throw. */
export type Listener<M> = (message: M) => void;

/** Where everything that happens to renders is heard. */
export interface Hub {
  /** Hears every event of the journal, in order, after its commit. Returns how to stop. */
  subscribe(listener: Listener<PublishedEvent>): () => void;
  /** Hears progress, which is never journalled. Returns how to stop. */
  subscribeProgress(listener: Listener<RenderProgress>): () => void;
  /** Tells whoever listens how far a render is. */
  progress(message: RenderProgress): void;
  /** An event as `subscribe` would have shown it. */
  publishable(event: LoggedEvent): PublishedEvent;
}

/** Options of `createHub`. */
export interface HubOptions {
  readonly journal: Pick<Journal, 'onEvents'>;
  readonly links: Links;
  /** Hears what a listener threw: one bad listener must not silence the others. */
  onListenerError(error: unknown): void;
}

/** Spreads the journal's events, and the transient ones, to every transport. */
export function createHub({ journal, links, onListenerError }: HubOptions): Hub {
  const events = new Set<Listener<PublishedEvent>>();
  const progress = new Set<Listener<RenderProgress>>();

  function tell<M>(listeners: Set<Listener<M>>, message: M): void {
    for (const listener of listeners) {
      try {
        listener(message);
      } catch (error) {
        onListenerError(error);
      }
    }
  }

  function publishable({ owner, door, event }: LoggedEvent): PublishedEvent {
    if (event.type !== 'ImageReady') return published({ owner, door, event }, event);
    const shown = { ...event, url: links.url(event.url) };
    const whole = { ...shown, uri: links.uri(event.image_id, event.format) };
    return published({ owner, door, event: whole }, links.showPaths ? whole : shown);
  }

  function add<M>(listeners: Set<Listener<M>>, listener: Listener<M>): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  journal.onEvents((batch) => {
    for (const event of batch) tell(events, publishable(event));
  });

  return {
    subscribe: (listener) => add(events, listener),
    subscribeProgress: (listener) => add(progress, listener),
    progress: (message) => tell(progress, message),
    publishable,
  };
}

function published(logged: LoggedEvent, shown: object): PublishedEvent {
  let text: string | undefined;
  return {
    ...logged,
    get json() {
      text ??= JSON.stringify(shown);
      return text;
    },
  };
}
