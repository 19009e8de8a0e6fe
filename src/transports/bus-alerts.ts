import type { Alert } from '../messages/bus.ts';
import type { Clock } from '../render/clock.ts';

/** How often what is open is said again, for readers that came late. */
const REPEAT_MS = 10_000;
/** How long the failure of a request is news. */
const REQUEST_MS = 60_000;
/** Most that is said again; the oldest is forgotten first. */
const MAX_OPEN = 32;

/** Published Alerts about what is not over yet. */
export interface OpenAlerts {
  /** Says it now, and again every 10 s until `settle(key)`; about a request for a minute at most. */
  open(key: string, alert: Alert): void;
  /** Says it once. */
  say(alert: Alert): void;
  /** It is over. */
  settle(key: string): void;
  close(): void;
}

/** Alerts that go to `publish`, and there again while they hold. */
export function createOpenAlerts(options: { clock: Clock; publish: (alert: Alert) => void }): OpenAlerts {
  const { clock, publish } = options;
  const open = new Map<string, { readonly alert: Alert; readonly at: number }>();
  let cancel: (() => void) | undefined;

  function repeat(): void {
    cancel = undefined;
    const now = clock.elapsed();
    for (const [key, { alert, at }] of open) {
      if (alert.request_id !== null && now - at >= REQUEST_MS) open.delete(key);
      else publish(alert);
    }
    schedule();
  }

  function schedule(): void {
    if (cancel === undefined && open.size > 0) cancel = clock.after(REPEAT_MS, repeat);
  }

  return {
    open(key, alert) {
      publish(alert);
      // Once more at the end, so that the order says which is the oldest.
      open.delete(key);
      open.set(key, { alert, at: clock.elapsed() });
      const [oldest] = open.keys();
      if (open.size > MAX_OPEN && oldest !== undefined) open.delete(oldest);
      schedule();
    },
    say: publish,
    settle: (key) => void open.delete(key),
    close() {
      cancel?.();
      open.clear();
    },
  };
}
