import { FINAL } from '../caller.ts';
import type { JournalledEvent } from '../journal-file.ts';
import type { SeenEvent } from '../watcher.ts';
import type { Check, Evidence } from './check.ts';
import { eventsByRender, nameOf } from './check.ts';

const CHANGES = ['RenderQueued', 'RenderStarted', 'ImageReady', 'RenderFailed', 'RenderCancelled'];
const ENDS: Readonly<Record<string, string>> = {
  ImageReady: 'succeeded',
  RenderFailed: 'failed',
  RenderCancelled: 'cancelled',
};

/** What is wrong with the order of a render's events: queued once, started any number of times, ended once. */
export function storyFault(events: readonly JournalledEvent[], status: string): string | undefined {
  const [first, ...rest] = events.filter(({ type }) => CHANGES.includes(type));
  if (first?.type !== 'RenderQueued') return `begins with ${first?.type ?? 'nothing'}`;
  if (rest.some(({ type }) => type === 'RenderQueued')) return 'was queued twice';
  const at = rest.findIndex(({ type }) => type in ENDS);
  const ends = at === -1 ? [] : rest.slice(at);
  const [end] = ends;
  if (end === undefined) return 'has no end';
  if (ENDS[end.type] !== status) return `is ${status}, but its events say ${end.type}`;
  if (end.type !== 'ImageReady') return ends.length === 1 ? undefined : `goes on after ${end.type}`;
  const images = ends.map(({ body, type }) => (type === 'ImageReady' ? body.index : type));
  const whole = Array.from({ length: Number(end.body.of) }, (_image, index) => index);
  if (JSON.stringify(images) !== JSON.stringify(whole))
    return `of its ${whole.length} images, ${images} were announced`;
  return ends.every(({ seq }, index) => seq === end.seq + index) ? undefined : 'announced its images one by one';
}

/** Whether a client got what the journal holds; links depend on the port and are made for each client. */
function isSame({ body, type }: JournalledEvent, seen: SeenEvent): boolean {
  return seen.type === type && Object.entries(body).every(([key, value]) => key === 'url' || same(seen[key], value));
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The event log, by itself and beside what clients saw of it. */
export const EVENT_CHECKS: readonly Check[] = [
  {
    name: 'every render has exactly one end, and nothing after it',
    violations({ journal }) {
      const stories = eventsByRender(journal);
      return journal.renders.flatMap((render) => {
        const { id, status } = render;
        if (!FINAL.includes(status)) return [`${nameOf(render)} is ${status}`];
        const fault = storyFault(stories.get(id) ?? [], status);
        return fault === undefined ? [] : [`${nameOf(render)} ${fault}`];
      });
    },
  },
  {
    name: 'attempts of a render count up',
    violations({ journal }) {
      return [...eventsByRender(journal)].flatMap(([id, events]) => {
        const attempts = events.filter(({ type }) => type === 'RenderStarted').map(({ body }) => Number(body.attempt));
        return attempts.every((attempt, at) => at === 0 || attempt > Number(attempts[at - 1]))
          ? []
          : [`${id} began its attempts as ${attempts}`];
      });
    },
  },
  {
    name: 'clear_queue ends what came before it, in the same moment',
    violations: ({ journal, ledger }) => {
      const active = new Map<string, Set<string>>();
      const workOf = new Map(journal.renders.map(({ id, work_id }) => [id, work_id]));
      return journal.events.flatMap(({ type, render_id, body }) => {
        const id = String(render_id);
        if (body.fallback_to !== undefined) {
          // All who wait for the work are the other generator's from now on; who does not want that has failed then.
          const from = active.get(String(body.generator)) ?? new Set();
          const to = active.get(String(body.fallback_to)) ?? new Set();
          for (const one of [...from].filter((other) => workOf.get(other) === workOf.get(id))) {
            from.delete(one);
            to.add(one);
          }
          active.set(String(body.fallback_to), to);
        }
        if (type in ENDS) for (const others of active.values()) others.delete(id);
        if (type !== 'RenderQueued') return [];
        const generator = String(body.generator);
        const others = active.get(generator) ?? new Set();
        const left = ledger.accounts.get(String(body.request_id))?.request.clears === true ? [...others] : [];
        active.set(generator, others.add(id));
        return left.map((other) => `${body.request_id} left ${other} active`);
      });
    },
  },
  {
    name: 'who answers in the place of another one is named, and was not unwanted',
    violations({ journal }) {
      const stories = eventsByRender(journal);
      return journal.renders.flatMap((render) => {
        const { id, status, generator, fallback_from, request } = render;
        const images =
          status === 'succeeded' ? (stories.get(id) ?? []).filter(({ type }) => type === 'ImageReady') : [];
        const asked = request.generator ?? generator;
        const told = images.every(({ body }) => (body.fallback_from ?? body.generator) === asked);
        const wanted = fallback_from === null || request.fallback !== false;
        return told && wanted ? [] : [`${nameOf(render)} asked ${asked}, and ${generator} answered`];
      });
    },
  },
  {
    name: 'sequence numbers only grow, and none is given twice',
    violations({ connections, journal }) {
      return connections.flatMap(({ hello, events }) => {
        const gaps = events.filter(({ seq }, at) => seq !== hello.last_seq + 1 + at);
        const other = hello.log_id === journal.logId ? [] : [`a client was greeted by log ${hello.log_id}`];
        return [...other, ...gaps.slice(0, 1).map(({ seq }) => `after ${hello.last_seq}, ${seq} was out of turn`)];
      });
    },
  },
  {
    name: 'what a client has seen is in the journal, as it was seen',
    violations({ connections, journal }: Evidence) {
      const journalled = new Map(journal.events.map((event) => [event.seq, event]));
      return connections.flatMap(({ events }) =>
        events.flatMap((seen) => {
          const event = journalled.get(seen.seq);
          return event !== undefined && isSame(event, seen) ? [] : [`${seen.type} ${seen.seq} is another or none`];
        }),
      );
    },
  },
];
