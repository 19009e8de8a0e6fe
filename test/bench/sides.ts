import { startChild } from './child.ts';
import type { Sample } from './compare.ts';

/** A child that is loaded from here; its `ready` says where. */
export async function startSide(name: string, load: (url: string) => Promise<Sample>) {
  const child = await startChild<object>(name);
  return {
    async measure(): Promise<Sample> {
      let sample: Sample = {};
      const { delayP99Ms } = await child.measure(async () => {
        sample = await load(child.ready.url ?? '');
      });
      return { ...sample, 'loop delay p99 ms': delayP99Ms };
    },
    stop: child.stop,
  };
}
