import type { LoggedEvent } from '../../src/render/records.ts';

/** An event as a test looks at it. */
export type WatchedEvent = LoggedEvent['event'];

/** Everything that was heard, and a way to wait for more. */
export interface EventWatch {
  readonly events: readonly WatchedEvent[];
  /** The first event, old or new, of this type and about this render. */
  until<T extends WatchedEvent['type']>(type: T, renderId?: string): Promise<Extract<WatchedEvent, { type: T }>>;
  /** Resolves when so many events of this type have come. */
  untilCount(type: WatchedEvent['type'], count: number): Promise<void>;
  /** Types of the events about a render, in order. */
  typesOf(renderId: string): string[];
}

/** Listens from now on. */
export function watchEvents(
  subscribe: (listener: (heard: { readonly event: WatchedEvent }) => void) => void,
): EventWatch {
  const events: WatchedEvent[] = [];
  const watchers = new Set<() => void>();
  subscribe(({ event }) => {
    events.push(event);
    for (const watch of watchers) watch();
  });
  const when = <T>(look: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const watch = () => {
        const found = look();
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      watch();
    });
  return {
    events,
    until: (type, renderId) =>
      when(() =>
        events.find((event): event is Extract<WatchedEvent, { type: typeof type }> => {
          return event.type === type && (renderId === undefined || idOf(event) === renderId);
        }),
      ),
    async untilCount(type, count) {
      await when(() => (events.filter((event) => event.type === type).length >= count ? true : undefined));
    },
    typesOf: (renderId) => events.filter((event) => idOf(event) === renderId).map(({ type }) => type),
  };
}

function idOf(event: WatchedEvent): string | undefined {
  return 'render_id' in event ? event.render_id : undefined;
}
