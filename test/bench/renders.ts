import type { Child } from './child.ts';
import { startChild } from './child.ts';
import type { Sample, Scenario } from './compare.ts';

/** What a child reports of its renders. */
export interface RenderReport {
  readonly rendersPerSecond: number;
}

/** How many whole renders a second leave the server, from request to committed event. */
export function rendersScenario(): Scenario {
  return {
    name: 'renders',
    about:
      'whole 512×512 placeholder renders through the service, beside bare sharp with the same durable writes ' +
      '(aim: ratio 0.8, loop delay p99 < 20 ms)',
    ratioOf: 'renders/s',
    async start() {
      const ours = await startChild<RenderReport>('renders-ours');
      const bare = await startChild<RenderReport>('renders-bare');
      return {
        ours: () => sample(ours),
        baseline: () => sample(bare),
        stop: async () => {
          await ours.stop();
          await bare.stop();
        },
      };
    },
  };
}

async function sample(child: Child<RenderReport>): Promise<Sample> {
  const { rendersPerSecond, delayP99Ms } = await child.measure();
  return { 'renders/s': rendersPerSecond, 'loop delay p99 ms': delayP99Ms };
}
