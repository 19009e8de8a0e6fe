import type { Heartbeat } from '../messages/bus.ts';
import type { Clock } from '../render/clock.ts';

/** How often a sign of life is published. */
const EVERY_MS = 5000;

/** Signs of life, every 5 s from `start` on. */
export function createHeartbeats({ clock, say }: { clock: Clock; say: ((message: Heartbeat) => void) | undefined }) {
  let cancel = () => {};

  function beat(): void {
    say?.({ type: 'Heartbeat', timestamp: clock.now() / 1000, service: 'image-server', state: 'running' });
    cancel = clock.after(EVERY_MS, beat);
  }

  return { start: beat, close: () => cancel() };
}
