import type { JournalContent, JournalledEvent, JournalledRender } from '../journal-file.ts';
import type { Ledger } from '../ledger.ts';
import type { UpstreamCall } from '../upstream.ts';
import type { Connection } from '../watcher.ts';

/** Everything that is known after the end, from each side. */
export interface Evidence {
  readonly ledger: Ledger;
  readonly journal: JournalContent;
  readonly connections: readonly Connection[];
  readonly upstream: readonly UpstreamCall[];
  /** The folder of the images. */
  readonly imagesDir: string;
  readonly crashAttempts: number;
  readonly retries: number;
  /** What the servers logged at level error and above, and how any ended that nobody killed. */
  readonly troubles: readonly string[];
}

/** Something that must hold; `violations` has a sentence for each place where it does not. */
export interface Check {
  readonly name: string;
  violations(evidence: Evidence): readonly string[] | Promise<readonly string[]>;
}

/** The schedule's name of a render. */
export function nameOf({ request }: JournalledRender): string {
  return request.metadata.id;
}

/** Items by a key, in their order. */
export function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** Events of each render, in order. */
export function eventsByRender({ events }: JournalContent): Map<string, JournalledEvent[]> {
  return groupBy(
    events.filter(({ render_id }) => render_id !== null),
    ({ render_id }) => String(render_id),
  );
}
